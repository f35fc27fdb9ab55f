import { writeOnnx } from '@modelmill/onnx';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { addingModel } from './adding-model.js';
import { createSession } from './session.js';
import { control as at, theEnd } from './team-program.js';
import type { FromTeamThread, TeamKernel, TeamMember, TeamOptions, TeamThread } from './team-program.js';
import { uncopied } from './uncopied-run.js';
import { withoutPaths } from './without-paths.js';

const entry = fileURLToPath(new URL('../dist/team-thread.js', import.meta.url));

/** Threads that run models over one memory, without copies: each computes on its own, and they meet between. */
export interface Team extends AsyncDisposable {
  /**
   * Every thread does what these programs say, in the order of their numbers, and the promise waits for all. Throws what a
   * thread failed at; after that a team runs no more.
   */
  run(programs: readonly number[]): Promise<void>;
}

/** Starts a thread for each member; all have as many programs, and as many meetings in each. `kernel` is over the same memory. */
export async function openTeam(
  memory: SharedArrayBuffer,
  members: readonly TeamMember[],
  options: TeamOptions = {},
  kernel?: TeamKernel,
): Promise<Team> {
  const written = members.map(({ models, programs }) => ({
    models: models.map(({ model, threads }) => ({ bytes: uncopied(writeOnnx(model)), threads })),
    programs,
  }));
  if (options.flushDenormals) {
    // threads compute as the one that starts them, which its first session tells how
    const { session } = await createSession(addingModel(), { ...options, providers: ['cpu'], threads: 1 });
    await session.release();
  }
  const control = new SharedArrayBuffer(4 * at.count);
  const counts = new Int32Array(control);
  const size = members.length;
  /** What a thread told that it failed at; it goes on meeting the others. */
  const told = Promise.withResolvers<Error>();
  /** Why a thread is no more. */
  let death: Error | undefined;
  let underWay: { readonly died: (why: Error) => void; readonly done: Promise<void> } | undefined;
  let isEnding = false;
  let turns = 0;
  const threads = await Promise.all(written.map(start));
  if (death) {
    await end();
    throw death as Error;
  }

  async function start(
    member: Pick<TeamThread, 'models' | 'programs'>,
  ): Promise<{ readonly worker: Worker; readonly ended: Promise<unknown> }> {
    const workerData: TeamThread = { ...member, size, memory, kernel, control, options };
    const worker = new Worker(entry, { workerData, execArgv: [] });
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    const ready = Promise.withResolvers<void>();
    let failure: Error | undefined;
    worker.on('message', (message: FromTeamThread) => {
      if (message.kind === 'ready') return ready.resolve();
      failure = new Error(withoutPaths(message.message));
      told.resolve(failure);
    });
    worker.on('error', (error) => (failure = error));
    worker.on('exit', () => {
      if (!isEnding) death ??= failure ?? new Error('a thread of a team ended');
      if (death) underWay?.died(death);
      ready.resolve();
    });
    await ready.promise;
    return { worker, ended };
  }

  function ask(programs: number): void {
    Atomics.store(counts, at.programs, programs);
    Atomics.add(counts, at.turn, 1);
    Atomics.notify(counts, at.turn);
  }

  async function allDone(died: Promise<never>): Promise<void> {
    const all = Math.imul(turns, size);
    for (;;) {
      const done = Atomics.load(counts, at.done);
      if (done === all) return;
      const woken = Atomics.waitAsync(counts, at.done, done);
      if (woken.async) await Promise.race([woken.value, died]);
    }
  }

  async function end(): Promise<void> {
    await underWay?.done.catch(() => {}); // its caller is told
    isEnding = true;
    ask(theEnd);
    // a thread that died is missed at meetings, for ever; ending the others by force would end the process
    if (death) for (const { worker } of threads) worker.unref();
    else await Promise.all(threads.map(({ ended }) => ended));
  }

  return {
    async run(programs) {
      if (death) throw death;
      if (Atomics.load(counts, at.failed) !== 0) throw await told.promise;
      turns++;
      const { promise: died, reject } = Promise.withResolvers<never>();
      died.catch(() => {}); // where nothing waits for it any more
      ask(programs.reduce((mask, program) => mask | (1 << program), 0));
      const done = allDone(died);
      underWay = { died: reject, done };
      await done;
      if (Atomics.load(counts, at.failed) !== 0) throw await told.promise;
    },
    [Symbol.asyncDispose]: end,
  };
}
