import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root, runTool } from './run-tool.js';

jest.setTimeout(300_000);

// One file, so that the planted imports below never meet the compiler or the lint running beside them.

/** A failing tool shows what it printed. */
function passes(tool: string, ...args: string[]) {
  const { code, output } = runTool(tool, ...args);
  expect(code === 0 ? '' : output).toBe('');
}

describe('the code', () => {
  it('has sound types, tests and benches included', () => passes('tsc', '-b', 'tsconfig.json'));
  it('obeys the lint', () => passes('eslint', '--max-warnings', '0', '.'));
  it('is formatted', () => passes('prettier', '--check', '--log-level', 'warn', '.'));
});

const arrows = createRequire(__filename)(join(root, 'tools/arrows.cjs')) as Record<string, string[]>;

/** Sources only: what they import from each other is found in dist, as Node finds it. */
const folders = [...Object.keys(arrows).map((folder) => join(folder, 'src')), 'test', 'bench/src'];

const cruise = (...paths: string[]) => runTool('depcruise', '--config', '.dependency-cruiser.cjs', ...paths);

describe('the import rules', () => {
  it('hold everywhere', () => {
    const { code, output } = cruise(...folders);
    expect(code === 0 ? '' : output).toBe('');
  });

  it.each([
    ['services-meet-only-on-the-wire', 'services/trainer/src', `export * from '../../gateway/src/index.js';`],
    ['onnx-stands-on-nothing', 'packages/onnx/src', `export * from '../../store/src/index.js';`],
    ['cli-stands-on-client', 'packages/cli/src', `export * from '../../store/src/index.js';`],
    [
      'inference-stands-on-runtime-and-store-and-service-kit',
      'services/inference/src',
      `export * from '@modelmill/autodiff';`,
    ],
    ['enter-by-the-front-door', 'packages/runtime/src', `export * from '../../onnx/src/model.js';`],
    ['onnx-and-autodiff-do-no-io', 'packages/autodiff/src', `export * from 'node:fs';`],
    ['only-runtime-loads-onnxruntime', 'services/inference/src', `export * from 'onnxruntime-node';`],
  ])('%s refuses a planted import', (rule, folder, code) => {
    const planted = join(root, folder, 'planted-by-a-test.ts');
    writeFileSync(planted, `${code}\n`);
    try {
      const { code: exit, output } = cruise(join(folder, 'planted-by-a-test.ts'));
      expect(output).toContain(rule);
      expect(exit).not.toBe(0);
    } finally {
      rmSync(planted);
    }
  });

  it('are the arrows that docs/architecture.md draws', () => {
    const [, drawing] = /```mermaid\nflowchart TB\n([^`]*)```/.exec(
      readFileSync(join(root, 'docs/architecture.md'), 'utf8'),
    ) ?? [undefined, ''];
    const drawn = drawing
      .trim()
      .split('\n')
      .flatMap((line) => {
        const [from = '', to = ''] = line.trim().split(' --> ');
        return from.split(' & ').flatMap((name) => to.split(' & ').map((below) => `${name} --> ${below}`));
      });
    const stated = Object.entries(arrows).flatMap(([folder, below]) =>
      below.map((name) => `${folder.split('/')[1]} --> ${name}`),
    );
    expect(drawn.sort()).toEqual(stated.sort());
  });
});
