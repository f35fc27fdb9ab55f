import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface ChildOptions {
  /** Its working directory, and where its temporary files go: whoever starts it removes that. */
  readonly folder: string;
  /** Ends the process when it aborts. */
  readonly signal: AbortSignal;
  /** All the process inherits, such as LD_LIBRARY_PATH: no secrets. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Flags of Node and V8. */
  readonly nodeOptions?: readonly string[];
}

/** A process of this service's own, which blocks as it likes. */
export interface Child {
  readonly pid: number;
  send(message: object): void;
  kill(): void;
  /**
   * How it ended, once it has and all its messages are handled. Rejects with what a handler threw, which ends the process,
   * or with the signal's reason.
   */
  readonly ended: Promise<string>;
}

/** Starts a module as a process, and hands over what it reports one message at a time: the next waits for the last. */
export function startChild<Message>(
  entry: string,
  { folder, signal, environment = {}, nodeOptions = [] }: ChildOptions,
  onMessage: (message: Message) => Promise<void> | void,
): Child {
  signal.throwIfAborted();
  const child = fork(entry, [], {
    cwd: folder,
    env: { ORT_DISABLE_TELEMETRY: '1', TMPDIR: folder, ...environment },
    execArgv: [...nodeOptions],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  // its last messages may come after its exit, but not after the end of the channel
  const exited = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);

  let handled = Promise.resolve();
  child.on('message', (message) => {
    handled = handled.then(() => onMessage(message as Message));
    // a report that cannot be kept (the job was lost) makes further work pointless
    handled.catch(kill);
  });

  async function end(): Promise<string> {
    try {
      const [[code, by]] = (await exited) as [[number | null, NodeJS.Signals | null], unknown];
      await handled;
      signal.throwIfAborted();
      return by ?? `exit code ${code}`;
    } finally {
      signal.removeEventListener('abort', kill);
      kill();
    }
  }
  const ended = end();
  ended.catch(() => {}); // told to whoever waits for it

  return {
    pid: child.pid ?? 0,
    send: (message) => void (child.connected && child.send(message, (error) => error && kill())),
    kill,
    ended,
  };
}
