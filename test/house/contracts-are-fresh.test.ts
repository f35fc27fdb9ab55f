import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, runTool } from './run-tool.js';

jest.setTimeout(120_000);

describe('the contracts', () => {
  it('pass the proto lint', () => {
    const { code, output } = runTool('buf', 'lint');
    expect(code === 0 ? '' : output).toBe('');
  });

  it('are generated from today’s protos', () => {
    const below = mkdtempSync(join(tmpdir(), 'mill-gen-'));
    try {
      const { code, output } = runTool('sh', 'tools/generate.sh', below);
      expect(code === 0 ? '' : output).toBe('');
      expect(filesBelow(join(below, 'packages/contracts/src/gen'))).toEqual(
        filesBelow(join(root, 'packages/contracts/src/gen')),
      );
    } finally {
      rmSync(below, { recursive: true });
    }
  });
});

function filesBelow(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length), readFileSync(path, 'utf8')];
    }),
  );
}
