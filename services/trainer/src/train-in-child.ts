import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FromTraining, TrainingOrder } from './training-messages.js';

// found from src and dist alike
const entry = fileURLToPath(new URL('../dist/training-process.js', import.meta.url));

/** The training process died without a word: another try may succeed. */
export class TrainingProcessError extends Error {
  override readonly name = 'TrainingProcessError';
}

export interface Surroundings {
  readonly signal: AbortSignal;
  /** All the process inherits: what device libraries are found by, such as LD_LIBRARY_PATH. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Runs a training in a process of its own, which blocks as it likes, and hands over what it reports, one message at a
 * time: the next one waits until `onMessage` is done. Ends the process when `signal` aborts.
 */
export async function trainInChild(
  order: TrainingOrder,
  { signal, environment = {} }: Surroundings,
  onMessage: (message: FromTraining) => Promise<void>,
): Promise<void> {
  signal.throwIfAborted();
  const child = fork(entry, [], {
    cwd: order.folder,
    // no inherited secrets
    env: { ORT_DISABLE_TELEMETRY: '1', ...environment },
    execArgv: [],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const kill = () => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  // its last messages may come after its exit, but not after the end of the channel
  const exited = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);

  let ended = false;
  let handled = Promise.resolve();
  child.on('message', (message: FromTraining) => {
    if (message.kind !== 'progress' && message.kind !== 'checkpoint') ended = true;
    handled = handled.then(() => onMessage(message));
    // a report that cannot be kept (the job was lost) makes further work pointless
    handled.catch(kill);
  });
  try {
    child.send(order, (error) => error && kill());
    const [[code, by]] = (await exited) as [[number | null, NodeJS.Signals | null], unknown];
    await handled;
    signal.throwIfAborted();
    if (!ended) throw new TrainingProcessError(`the training process ended with ${by ?? `exit code ${code}`}`);
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
  }
}
