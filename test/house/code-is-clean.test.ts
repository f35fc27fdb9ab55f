import { runTool } from './run-tool';

jest.setTimeout(300_000);

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
