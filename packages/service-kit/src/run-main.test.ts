import { spawnSync } from 'node:child_process';

const kit = new URL('../dist/index.js', import.meta.url).href;

/** Runs an expression as the main module of a process of its own. */
function main(start: string) {
  const code = `import { ConfigError, runMain } from '${kit}'; await runMain(${start});`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8' });
  return { status, stderr };
}

describe('runMain', () => {
  it('ends with 0 when all went well, whatever is still open', () =>
    expect(main('async () => void setInterval(() => {}, 1000)')).toEqual({ status: 0, stderr: '' }));

  it('says in one line what its user can mend, and ends with 1', () =>
    expect(main(`async () => { throw new ConfigError('MILL_X is wrong') }`)).toEqual({
      status: 1,
      stderr: 'MILL_X is wrong\n',
    }));

  it('says it for an error before anything was awaited, too', () =>
    expect(main(`() => { throw new ConfigError('MILL_X is wrong') }`)).toEqual({
      status: 1,
      stderr: 'MILL_X is wrong\n',
    }));

  it('shows where a bug is', () => {
    const { status, stderr } = main(`async () => { throw new TypeError('a bug') }`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/TypeError: a bug\n\s+at /);
  });
});
