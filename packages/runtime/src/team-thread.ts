// One thread of a team: loads its models, then does in each turn what its programs say.
import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-node';
import { Tensor } from 'onnxruntime-node';
import { createSession } from './session.js';
import { control as at, theEnd } from './team-program.js';
import { runUncopied } from './uncopied-run.js';
import type { FromTeamThread, SharedTensor, TeamTask, TeamThread } from './team-program.js';

/** What of WebAssembly is used here; Node's types leave it out. */
declare const WebAssembly: {
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

const { models, programs: tasks, size, memory, kernel, control, options } = workerData as TeamThread;
const counts = new Int32Array(control);
const tell = (message: FromTeamThread) => parentPort?.postMessage(message);
/** Looks before a thread sleeps: others come within microseconds where each has as much to do. */
const looks = 2_000;

type Functions = Readonly<Record<string, (...numbers: readonly number[]) => void>>;
const functions = (
  kernel ? new WebAssembly.Instance(kernel.module, { env: { memory: kernel.memory } }).exports : {}
) as Functions;

type Numbers = Float32Array<SharedArrayBuffer> | BigInt64Array<SharedArrayBuffer>;
type Act = () => Promise<void> | void;

function numbersOf({ type, dims, at }: SharedTensor): Numbers {
  const count = dims.reduce((product, size) => product * size, 1);
  return type === 'int64' ? new BigInt64Array(memory, at, count) : new Float32Array(memory, at, count);
}

const tensorsOf = (named: Readonly<Record<string, SharedTensor>>): Record<string, Tensor> =>
  Object.fromEntries(
    // the constructor's types know no shared memory, which ONNX Runtime takes as any other
    Object.entries(named).map(([name, of]) => [
      name,
      new Tensor(of.type as 'float32', numbersOf(of) as unknown as Float32Array, of.dims),
    ]),
  );

function actOf(sessions: readonly InferenceSession[], task: TeamTask): Act {
  switch (task.kind) {
    case 'run': {
      const session = sessions[task.model]!;
      const inputs = tensorsOf(task.inputs);
      const outputs = tensorsOf(task.outputs);
      return () => runUncopied(session, inputs, outputs);
    }
    case 'add rows':
    case 'clear rows':
      return rowsAct(task);
    case 'call': {
      const called = functions[task.function];
      if (called === undefined) throw new Error(`the team's kernel has no function '${task.function}'`);
      return () => called(...task.arguments);
    }
    case 'meet':
      return meet;
  }
}

function rowsAct({
  kind,
  positions,
  rows,
  table,
  from,
  to,
}: Extract<TeamTask, { kind: 'add rows' | 'clear rows' }>): Act {
  const length = table.dims[0]!;
  const into = numbersOf(table) as Float32Array;
  const width = into.length / length;
  // Gather refused what lies beyond the table, so the lower half of an int64 is its position; a BigInt takes longer to read
  const halves = ({ dims, at }: SharedTensor) => new Int32Array(memory, at, 2 * dims[0]!);
  const all = positions.map((of, i) => ({ at: halves(of), from: numbersOf(rows[i]!) as Float32Array }));
  const clear = (start: number) => void into.fill(0, start, start + width);
  const add = (start: number, added: Float32Array, row: number) => {
    for (let i = 0, j = row * width; i < width; i++, j++) into[start + i]! += added[j]!;
  };
  return () => {
    for (const { at, from: added } of all) {
      for (let row = 0; 2 * row < at.length; row++) {
        const told = at[2 * row]!;
        const position = told < 0 ? told + length : told; // ONNX counts from the end, too
        if (position < from || position >= to) continue;
        if (kind === 'add rows') add(position * width, added, row);
        else clear(position * width);
      }
    }
  };
}

let meetings = 0;

/** Counts of turns and meetings go around at 2^31. */
const isBefore = (count: number, other: number) => ((count - other) | 0) < 0;

function meet(): void {
  const all = Math.imul(++meetings, size);
  if (((Atomics.add(counts, at.met, 1) + 1) | 0) === all) {
    Atomics.notify(counts, at.met);
    return;
  }
  for (let i = 0; i < looks; i++) if (!isBefore(Atomics.load(counts, at.met), all)) return;
  for (let met = Atomics.load(counts, at.met); isBefore(met, all); met = Atomics.load(counts, at.met)) {
    Atomics.wait(counts, at.met, met);
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function work(programs: readonly (readonly { readonly isMeeting: boolean; readonly act: Act }[])[]) {
  for (let turn = 0; ;) {
    Atomics.wait(counts, at.turn, turn);
    turn = Atomics.load(counts, at.turn);
    const asked = Atomics.load(counts, at.programs);
    if (asked === theEnd) return;
    for (const [i, program] of programs.entries()) {
      if ((asked & (1 << i)) === 0) continue;
      for (const { isMeeting, act } of program) {
        // after a failure others are still met, who would wait for ever
        if (!isMeeting && Atomics.load(counts, at.failed) !== 0) continue;
        try {
          await act();
        } catch (error) {
          Atomics.store(counts, at.failed, 1);
          tell({ kind: 'failed', message: messageOf(error) });
        }
      }
    }
    Atomics.add(counts, at.done, 1);
    Atomics.notify(counts, at.done);
  }
}

const sessions: InferenceSession[] = [];
try {
  for (const { bytes, threads } of models) {
    const { session } = await createSession(bytes, { ...options, providers: ['cpu'], threads });
    sessions.push(session);
  }
  const programs = tasks.map((of) =>
    of.map((task) => ({ isMeeting: task.kind === 'meet', act: actOf(sessions, task) })),
  );
  tell({ kind: 'ready' });
  await work(programs);
} catch (error) {
  tell({ kind: 'failed', message: messageOf(error) });
} finally {
  for (const session of sessions) await session.release();
}
