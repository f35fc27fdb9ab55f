import type { DataParallelStep, OptimizerSpec } from '@modelmill/autodiff';
import { compileKernel } from '@modelmill/data';
import type { KernelModule } from '@modelmill/data';
import type { SharedTensor, TeamKernel, TeamTask } from '@modelmill/runtime';
import type { DataParallelMemory, Stretch } from './data-parallel-memory.js';
import { sizeOf, within } from './data-parallel-memory.js';
import { kernelBase64 } from './gen/update-kernel.js';

let compiled: KernelModule | undefined;

/** services/trainer/assembly/update.ts over a step's memory. */
export function kernelOf({ ofKernel: memory }: DataParallelMemory): TeamKernel | undefined {
  return memory && { module: (compiled ??= compileKernel(kernelBase64)), memory };
}

/** Elements that the kernel takes at a time; what lies behind the last of a row is nobody's. */
export const vector = 4;
const rounded = (length: number) => vector * Math.ceil(length / vector);
const none = 0;

type TableRows = [table: number, width: number, length: number, from: number, to: number];

/** Places are in bytes; 0 is none. */
interface Kernel {
  adam: [
    ...[count: number, weights: number, m: number, v: number, gradient: number, averages: number],
    ...[learningRate: number, c1: number, c2: number, scale: number],
    ...[rateScale: number, beta1: number, beta2: number, epsilon: number, decay: number, ema: number],
  ];
  addUp: [count: number, to: number, other: number, limit: number, squares: number];
  addRows: [count: number, positions: number, rows: number, ...TableRows];
  clearRows: [count: number, positions: number, ...TableRows];
}

const call = <Name extends keyof Kernel>(name: Name, ...numbers: Kernel[Name]): TeamTask => ({
  kind: 'call',
  function: name,
  arguments: numbers,
});

/** Adds up the gradients of a stretch, and the squares of the sums; of a table's gradient, which is one, only its squares. */
export function addUpTask(
  { clipValue }: DataParallelStep,
  gradients: readonly SharedTensor[],
  squares: SharedTensor,
): TeamTask {
  const [sum, other] = gradients;
  return call('addUp', rounded(sizeOf(sum!.dims)), sum!.at, other?.at ?? none, clipValue, squares.at);
}

export type RowsTask = Extract<TeamTask, { kind: 'add rows' | 'clear rows' }>;

/** What a team would do with rows of a table in JavaScript. */
export function rowsTasks({ kind, positions, rows, table, from, to }: RowsTask): TeamTask[] {
  const [length, ...width] = table.dims;
  const where: TableRows = [table.at, sizeOf(width), length!, from, to];
  return positions.map((of, i) => {
    const count = of.dims[0]!;
    return kind === 'add rows'
      ? call('addRows', count, of.at, rows[i]!.at, ...where)
      : call('clearRows', count, of.at, ...where);
  });
}

/** Steps whose updates the kernel has. */
export interface AdamStep extends DataParallelStep {
  readonly optimizer: OptimizerSpec & { readonly kind: 'adam' };
}

export const isInKernel = (step: DataParallelStep): step is AdamStep => step.optimizer.kind === 'adam';

export function updateTask(
  { inputs, optimizer: { beta1, beta2, epsilon }, rows, scale, ema }: AdamStep,
  { parts, gradients, rates }: DataParallelMemory,
  { row, from, length }: Stretch,
): TeamTask {
  const { rateScale, decay } = rows[row]!;
  const placeOf = (of: SharedTensor | undefined) => (of ? within(of, from, length).at : none);
  const rate = (name: string) => rates.get(name)?.at ?? none;
  const part = parts[row]!;
  const { c1, c2 } = inputs.corrections!;
  return call(
    'adam',
    rounded(length),
    placeOf(part.get('weights')),
    placeOf(part.get(0)),
    placeOf(part.get(1)),
    placeOf(gradients[row]![0]),
    placeOf(part.get('averages')),
    rate(inputs.learningRate),
    rate(c1),
    rate(c2),
    rate(scale),
    rateScale,
    beta1,
    beta2,
    epsilon,
    decay,
    ema,
  );
}
