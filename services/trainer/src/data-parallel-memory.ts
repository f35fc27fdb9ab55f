import type { DataParallelStep, Part } from '@modelmill/autodiff';
import { pageBytes, sharedKernelMemory } from '@modelmill/data';
import type { SharedKernelMemory } from '@modelmill/data';
import type { SharedTensor } from '@modelmill/runtime';

/** A stretch of a row of weights. */
export interface Stretch {
  readonly row: number;
  readonly from: number;
  readonly length: number;
}

/** A table's rows that a step reads. */
export interface TableMemory {
  /** Of each share. */
  readonly positions: readonly SharedTensor[];
  readonly added: readonly SharedTensor[];
}

/** Where everything lies that the threads of a data parallel step share. */
export interface DataParallelMemory {
  readonly buffer: SharedArrayBuffer;
  /** The same, where a kernel can work on it. */
  readonly ofKernel: SharedKernelMemory | undefined;
  /** By the names of the state. */
  readonly state: ReadonlyMap<string, SharedTensor>;
  /** Rows of weights, one after the other, with what belongs to them: `parts[row]`. */
  readonly parts: readonly ReadonlyMap<Part, SharedTensor>[];
  /** `gradients[row][share]`; the first takes the sum. A table has one. */
  readonly gradients: readonly (readonly SharedTensor[])[];
  readonly tables: ReadonlyMap<number, TableMemory>;
  /** What a whole batch is fed, the shares' parts one after the other. */
  readonly feeds: ReadonlyMap<string, SharedTensor>;
  readonly losses: readonly SharedTensor[];
  /** Scalars of the update. */
  readonly rates: ReadonlyMap<string, SharedTensor>;
  /** Sums of squares of each stretch. */
  readonly squares: readonly SharedTensor[];
  numbers(of: SharedTensor): Float32Array | BigInt64Array;
}

const bytesOf = { float32: 4, int64: 8 } as const;
/** A line of the cache, which tensors of their own begin with. */
const line = 64;

export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, size) => product * size, 1);

/** So many elements of a tensor as a tensor of one axis, or of `dims`. */
export const within = (
  { type, at }: SharedTensor,
  from: number,
  length: number,
  dims: readonly number[] = [length],
): SharedTensor => ({ type, dims, at: at + bytesOf[type] * from });

/** `squares`: how many sums of squares there are. */
export function dataParallelMemory(
  step: DataParallelStep,
  rates: readonly string[],
  squares: number,
  withKernel: boolean,
): DataParallelMemory {
  let end = pageBytes; // the first page is a kernel's own
  const take = (dims: readonly number[], type: SharedTensor['type'] = 'float32'): SharedTensor => {
    const at = end;
    end += Math.ceil((sizeOf(dims) * bytesOf[type]) / line) * line;
    return { type, dims, at };
  };
  const dimsOf = new Map(step.state.map(({ input, dims }) => [input, dims]));
  const each = <T>(make: (share: number) => T): T[] => Array.from({ length: step.shares }, (_, share) => make(share));
  const state = new Map<string, SharedTensor>();
  const parts = step.rows.map(({ members, length, slots }) => {
    const of = new Map<Part, SharedTensor>([['weights', take([length])]]);
    if (members.some(({ average }) => average !== undefined)) of.set('averages', take([length]));
    slots.forEach((name, slot) => {
      of.set(slot, take([length]));
      state.set(name, within(of.get(slot)!, 0, length, dimsOf.get(name)));
    });
    let from = 0;
    for (const { weight, average, length } of members) {
      state.set(weight, within(of.get('weights')!, from, length, dimsOf.get(weight)));
      if (average !== undefined) state.set(average, within(of.get('averages')!, from, length, dimsOf.get(average)));
      from += length;
    }
    return of;
  });
  for (const { input, dims } of step.state) if (!state.has(input)) state.set(input, take(dims)); // frozen
  const tables = new Map(
    step.rows.flatMap(({ table }, row) => {
      if (!table) return [];
      const { read, shape } = table;
      const memory: TableMemory = {
        positions: each(() => take([read, 1], 'int64')),
        added: each(() => take([read, ...shape.slice(1)])),
      };
      return [[row, memory] as const];
    }),
  );
  const fed = step.share.graph.inputs.filter(({ name }) => !state.has(name));
  const memory = {
    state,
    parts,
    gradients: step.rows.map(({ length, table }) => (table ? [take(table.shape)] : each(() => take([length])))),
    tables,
    feeds: new Map(
      fed.map(({ name, shape, dataType }) => {
        const [first = 1, ...rest] = shape as number[];
        return [name, take([step.shares * first, ...rest], dataType === 'int64' ? 'int64' : 'float32')];
      }),
    ),
    losses: each(() => take([])),
    rates: new Map(rates.map((name) => [name, take([])])),
    squares: Array.from({ length: squares }, () => take([])),
  };
  const ofKernel = withKernel ? sharedKernelMemory(end) : undefined;
  const buffer = ofKernel?.buffer ?? new SharedArrayBuffer(end);
  return {
    ...memory,
    buffer,
    ofKernel,
    numbers: ({ type, dims, at }) =>
      type === 'int64' ? new BigInt64Array(buffer, at, sizeOf(dims)) : new Float32Array(buffer, at, sizeOf(dims)),
  };
}
