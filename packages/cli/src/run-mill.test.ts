import { runMill } from './run-mill.js';
import { createScreen } from './terminal/screen.js';

async function mill(...args: string[]) {
  const printed = { out: '', err: '' };
  const output = (key: keyof typeof printed) => ({ write: (text: string) => void (printed[key] += text) });
  const code = await runMill(args, {
    root: '/nowhere',
    cwd: '/nowhere',
    env: {},
    out: createScreen(output('out'), { colours: false }),
    notes: createScreen(output('err'), { colours: false }),
    stdout: output('out'),
    stdin: (async function* () {})(),
    signal: new AbortController().signal,
  });
  return { code, ...printed };
}

describe('mill', () => {
  it.each([[['help']], [['--help']], [[]]])('%j lists the commands', async (args) => {
    const { code, out } = await mill(...args);
    expect(code).toBe(0);
    for (const name of ['demo', 'up', 'status', 'train', 'optimize', 'predict', 'bench'])
      expect(out).toContain(`  ${name}`);
  });

  it.each([[['help', 'models']], [['models', '--help']]])('%j shows how a command is called', async (args) =>
    expect(await mill(...args)).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringContaining('mill models promote') as string,
    }),
  );

  it.each([
    [['modles'], "mill: 'modles' is no command; 'mill help' lists them\n"],
    [['events', '--foo'], "mill: unknown option '--foo'\nmill: see 'mill help events'\n"],
    [['train'], "mill: SPEC.yaml is missing\nmill: see 'mill help train'\n"],
  ])('%j is a usage error', async (args, err) => expect(await mill(...args)).toEqual({ code: 2, out: '', err }));

  it('without a mesh says in one line how to get one', async () =>
    expect(await mill('status')).toEqual({
      code: 1,
      out: '',
      err: "mill: no mesh is up: start one with 'mill up', or name one with --address (looked in /nowhere/.mill)\n",
    }));

  it('names the mesh that does not answer', async () => {
    const { code, err } = await mill('models', '--address', '127.0.0.1:1');
    expect(code).toBe(1);
    expect(err).toMatch(/^mill: .*127\.0\.0\.1:1.*\n$/);
  });
});
