import type { DataParallelStep } from '@modelmill/autodiff';
import type { Model } from '@modelmill/onnx';
import type { SharedTensor, TeamMember, TeamModel, TeamTask } from '@modelmill/runtime';
import type { RowsTask } from './update-kernel.js';
import { addUpTask, isInKernel, rowsTasks, updateTask, vector } from './update-kernel.js';
import { dataParallelMemory, sizeOf, within } from './data-parallel-memory.js';
import type { DataParallelMemory, Stretch } from './data-parallel-memory.js';

/** Numbers of a team's programs. */
export const updateProgram = 0;
export const stepProgram = 1;

/** Elements that an update works on at once: with all that it makes of them they stay in a core's cache. */
const stretchLength = 2 ** 16;
/** Of very large models: graphs of more operators take long to load, where there is no kernel. */
const mostStretches = 1_000;

export interface DataParallelPlan {
  readonly memory: DataParallelMemory;
  readonly members: readonly TeamMember[];
}

type Named = Record<string, SharedTensor>;

/**
 * What each of so many threads does: the gradients of its shares of a batch, then sums and updates of some stretches. Which
 * thread does what changes no number.
 */
export function dataParallelPlan(step: DataParallelStep, threads: number, withKernel: boolean): DataParallelPlan {
  const { inputs, rows, shares } = step;
  const size = Math.min(threads, shares);
  const { c1, c2 } = inputs.corrections ?? {};
  const rates = [inputs.learningRate, c1, c2, step.clipNorm > 0 ? step.scale : undefined].filter(
    (name) => name !== undefined,
  );
  const total = rows.reduce((sum, { length }) => sum + length, 0);
  const most = Math.max(stretchLength, Math.ceil(total / mostStretches));
  // each begins where a kernel may, and in a table with a row
  const all = rows.flatMap(({ length, table }, row) =>
    stretches(row, length, most, table ? (vector * length) / table.shape[0]! : 4 * vector),
  );
  const memory = dataParallelMemory(step, rates, all.length, withKernel && shares === 2);
  // one after the other, each thread has about as much
  let before = 0;
  const threadOf = all.map(({ length }) => {
    const middle = before + length / 2;
    before += length;
    return Math.floor((middle / total) * size);
  });
  const rowsOf = (task: RowsTask) => (memory.ofKernel ? rowsTasks(task) : [task]);
  const members = Array.from({ length: size }, (_, thread) => memberOf(thread));
  return { memory, members };

  function memberOf(thread: number): TeamMember {
    const models: TeamModel[] = [];
    const add = (model: Model, threads = 1) => models.push({ model, threads }) - 1;
    const share = add(step.share, Math.max(1, Math.floor(threads / size)));
    const own = all
      .map((stretch, at) => ({ ...stretch, squares: memory.squares[at]! }))
      .filter((_, at) => threadOf[at] === thread);
    const update = updateTasks(own, add);
    const sums = sumsTasks(own, add);
    const tables = [...memory.tables].flatMap(([row, table]) => {
      const of = own.filter((stretch) => stretch.row === row);
      if (of.length === 0) return [];
      const gradient = memory.gradients[row]![0]!;
      const width = sizeOf(gradient.dims.slice(1));
      const from = of[0]!.from / width;
      const to = (of.at(-1)!.from + of.at(-1)!.length) / width;
      return [{ positions: table.positions, rows: table.added, table: gradient, from, to }];
    });
    const ofShares = [...Array(shares).keys()].filter((of) => of % size === thread).map((of) => shareTask(share, of));
    return {
      models,
      programs: [
        update,
        [
          // of the step before, whether it was followed by an update or not; and weights are read when all are updated
          ...tables.flatMap((of) => rowsOf({ kind: 'clear rows', ...of })),
          { kind: 'meet' },
          ...ofShares,
          { kind: 'meet' },
          ...tables.flatMap((of) => rowsOf({ kind: 'add rows', ...of })),
          ...sums,
        ],
      ],
    };
  }

  function shareTask(model: number, of: number): TeamTask {
    const inputs: Named = {};
    for (const { name, shape } of step.share.graph.inputs) {
      const feed = memory.feeds.get(name);
      const dims = shape as number[];
      inputs[name] = feed ? within(feed, of * sizeOf(dims), sizeOf(dims), dims) : memory.state.get(name)!;
    }
    const outputs: Named = { [step.outputs.loss]: memory.losses[of]! };
    for (const [row, { members, table }] of rows.entries()) {
      if (table) {
        const { positions, added } = memory.tables.get(row)!;
        outputs[table.positions] = positions[of]!;
        outputs[table.added] = added[of]!;
        continue;
      }
      let from = 0;
      for (const { weight, gradient, length } of members) {
        outputs[gradient!] = within(memory.gradients[row]![of]!, from, length, memory.state.get(weight)!.dims);
        from += length;
      }
    }
    return { kind: 'run', model, inputs, outputs };
  }

  function sumsTasks(own: readonly (Stretch & { squares: SharedTensor })[], add: (model: Model) => number): TeamTask[] {
    if (own.length === 0) return [];
    if (memory.ofKernel) {
      return own.map(({ row, from, length, squares }) => {
        const gradients = memory.gradients[row]!.map((of) => within(of, from, length));
        return addUpTask(step, gradients, squares);
      });
    }
    const { model, blocks } = step.sums(own);
    const inputs: Named = {};
    const outputs: Named = {};
    blocks.forEach(({ gradients, sum, squares }, i) => {
      const { row, from, length, squares: to } = own[i]!;
      gradients.forEach((name, of) => (inputs[name] = within(memory.gradients[row]![of]!, from, length)));
      if (sum !== undefined) outputs[sum] = within(memory.gradients[row]![0]!, from, length);
      outputs[squares] = to;
    });
    return [{ kind: 'run', model: add(model), inputs, outputs }];
  }

  function updateTasks(own: readonly Stretch[], add: (model: Model) => number): TeamTask[] {
    if (own.length === 0) return [];
    if (memory.ofKernel && isInKernel(step)) return own.map((stretch) => updateTask(step, memory, stretch));
    const { model, blocks } = step.update(own);
    const named = new Map(memory.rates);
    const outputs: Named = {};
    blocks.forEach(({ gradient, places }, i) => {
      const { row, from, length } = own[i]!;
      named.set(gradient, within(memory.gradients[row]![0]!, from, length));
      for (const [part, { now, next }] of places) {
        const place = within(memory.parts[row]!.get(part)!, from, length);
        named.set(now, place);
        outputs[next] = place;
      }
    });
    const inputs = Object.fromEntries(model.graph.inputs.map(({ name }) => [name, named.get(name)!]));
    return [{ kind: 'run', model: add(model), inputs, outputs }];
  }
}

/** A row in parts of about the same length, each a multiple of `step`. */
function stretches(row: number, length: number, most: number, step: number): Stretch[] {
  const count = Math.ceil(length / most);
  const each = step * Math.ceil(length / count / step);
  return Array.from({ length: Math.ceil(length / each) }, (_, i) => ({
    row,
    from: i * each,
    length: Math.min(each, length - i * each),
  }));
}
