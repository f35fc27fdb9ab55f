import { spawn, spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const root = resolve(__dirname, '../..');
const folder = (language: string) => join(root, 'examples/clients', language);
/** buf lies in node_modules and runs on node. */
const path = [process.env['PATH'] ?? '', dirname(process.execPath), join(root, 'node_modules/.bin')].join(':');
const withPath = { ...process.env, PATH: path };

type Command = readonly [string, ...string[]];

/** How the README beside a language's examples brings, builds and starts them. */
interface Language {
  readonly name: 'python' | 'go' | 'java';
  readonly needs: string;
  readonly toolchain: Command;
  /** Brings packages: a failure is a machine without them. */
  readonly bring: readonly Command[];
  /** A failure is ours, unless what it printed says that packages did not come. */
  readonly build: readonly Command[];
  readonly unreachable: RegExp;
  readonly infer: Command;
  readonly watch: Command;
}

const never = /^(?!)/;
const jars = 'target/classes:target/lib/*';
const python = '.venv/bin/python';

const languages: readonly Language[] = [
  {
    name: 'python',
    needs: 'python3 with venv and its packages',
    toolchain: ['python3', '-c', 'import venv, ensurepip'],
    bring: [
      ['python3', '-m', 'venv', '.venv'],
      [python, '-m', 'pip', 'install', '-q', '--retries', '1', '--timeout', '15', '-r', 'requirements.txt'],
    ],
    build: [['sh', 'generate.sh']],
    unreachable: never,
    infer: [python, 'infer.py'],
    watch: [python, 'watch_events.py'],
  },
  {
    name: 'go',
    needs: 'go and its modules',
    toolchain: ['go', 'version'],
    bring: [['go', 'mod', 'download']],
    build: [
      ['go', 'generate'],
      ['go', 'build', '-o', 'bin/', './...'],
    ],
    unreachable: never,
    infer: ['bin/infer'],
    watch: ['bin/watch-events'],
  },
  {
    name: 'java',
    needs: 'java 17, maven and its artifacts',
    toolchain: ['sh', '-c', 'javac --release 17 --version && mvn --version'],
    bring: [],
    build: [['mvn', '-B', '-q', 'compile']],
    unreachable: /Could not (resolve|find|transfer)|Unresolveable|could not be resolved|Unable to resolve/i,
    infer: ['java', '-cp', jars, 'example.Infer'],
    watch: ['java', '-cp', jars, 'example.WatchEvents'],
  },
];

type Outcome =
  | { readonly kind: 'ready' }
  | { readonly kind: 'missing'; readonly why: string }
  | { readonly kind: 'broken'; readonly output: string };

const bringMs = 240_000;
const buildMs = 420_000;

/** Brings and builds a language's examples, in a bounded time. */
function prepare({ name, toolchain, bring, build, unreachable }: Language): Outcome {
  const run = ([command, ...args]: Command, timeout: number) => {
    const options = { cwd: folder(name), env: withPath, encoding: 'utf8', timeout, killSignal: 'SIGKILL' } as const;
    const { status, stdout, stderr, error } = spawnSync(command, args, options);
    const output = [command, ...args].join(' ') + `: ${error?.message ?? ''}\n${stdout ?? ''}${stderr ?? ''}`;
    return { fails: status !== 0, output };
  };
  for (const command of [toolchain, ...bring]) {
    const { fails, output } = run(command, bringMs);
    if (fails) return { kind: 'missing', why: output };
  }
  for (const command of build) {
    const { fails, output } = run(command, buildMs);
    if (fails) return unreachable.test(output) ? { kind: 'missing', why: output } : { kind: 'broken', output };
  }
  return { kind: 'ready' };
}

/** What is to be had on this machine: each language, and what came of bringing and building its examples. */
export const exampleClients = () => languages.map((language) => ({ ...language, outcome: prepare(language) }));

/** Starts a program in its language's folder; it is interrupted when disposed. */
export function startExample(language: string, [command, ...args]: Command, key: string) {
  const child = spawn(command, args, { cwd: folder(language), env: { ...withPath, MILL_API_KEY: key } });
  const lines: string[] = [];
  let errors = '';
  let onLine = () => {};
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    onLine();
  });
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const ended = new Promise<number | null>((done, fail) => child.on('close', done).on('error', fail));
  return {
    lines,
    errors: () => errors,
    ended,
    /** Resolves when it has printed so many lines; fails with what it complained of when it ends before. */
    async printed(count: number) {
      while (lines.length < count) {
        const more = new Promise<void>((done) => (onLine = done));
        const isOver = await Promise.race([more.then(() => false), ended.then(() => true)]);
        if (isOver && lines.length < count) throw new Error(`it ended after ${lines.length} lines: ${errors}`);
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGINT');
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(late);
    },
  };
}
