import { axisOf } from './gradient-rule.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import { constantsOf } from './constants-of.js';
import { UnsupportedOpError } from './errors.js';
import * as op from './ops.js';
import { sumsByPlace } from './sums-by-place.js';
import { scatterND, tableOfSums } from './table-rows.js';
import { constant, size } from './value.js';
import type { Shape, Value } from './value.js';

/** Operators that read or write by position. */
export const indexing: Readonly<Record<string, GradientRule>> = {
  Gather: ({ x: [data, indices], g, int, columns }) => {
    const axis = axisOf(int('axis', 0), data!);
    const length = data!.shape[axis]!;
    const known = data!.shape.length === 1 ? constantsOf(indices) : [];
    return [
      () => (known.length > length ? sumsByPlace(g, known, length) : scatterAlong(g, indices!, axis, length, columns)),
    ];
  },
  GatherElements: ({ x: [data, indices], g, int }) => [
    () => scatterElements(op.zeros(data!.shape), indices!, g, axisOf(int('axis', 0), data!), 'add'),
  ],
  GatherND: ({ x: [data, indices], g, int }) => [
    () => addAt(op.zeros(data!.shape), coordinates(indices!, int('batch_dims', 0)), g),
  ],
  ScatterElements: (question) => {
    const { x, g, int } = question;
    const [data, indices, updates] = x;
    const axis = axisOf(int('axis', 0), data!);
    return [
      adds(question) ? () => g : () => scatterElements(g, indices!, op.zeros(updates!.shape), axis),
      undefined,
      () => op.make('GatherElements', [g, indices], updates!.shape, g.dataType, { axis: op.int(axis) }),
    ];
  },
  ScatterND: (question) => {
    const { x, g } = question;
    const [, indices, updates] = x;
    return [
      adds(question) ? () => g : () => scatterND(g, indices!, op.zeros(updates!.shape)),
      undefined,
      () => op.make('GatherND', [g, indices], updates!.shape, g.dataType),
    ];
  },
  TopK: ({ operation, x: [x], g, int }) => [
    () => scatterElements(op.zeros(x!.shape), operation.outputs[1]!, g, axisOf(int('axis', -1), x!), 'add'),
  ],
};

/** Whether a scatter adds, or only sets; other reductions are refused. */
function adds({ operation, word }: GradientQuestion): boolean {
  const reduction = word('reduction', 'none');
  if (reduction === 'add' || reduction === 'none') return reduction === 'add';
  throw new UnsupportedOpError(operation.opType, operation.node, `has no gradient for reduction '${reduction}'`);
}

/** What Gather read along an axis, [before…, …indices, after…], added up where it came from. `columns` as in StepOptions. */
export function scatterAlong(g: Value, indices: Value, axis: number, length: number, columns = false): Value {
  const places = size(indices.shape);
  const before = g.shape.slice(0, axis);
  const after = g.shape.slice(axis + indices.shape.length);
  const shape = [length, ...before, ...after];
  const first = [axis, ...before.keys(), ...after.map((_, i) => axis + 1 + i)];
  const rows = op.transpose(op.reshape(g, [...before, places, ...after]), first);
  const at = op.reshape(longs(indices), [places, 1]);
  const addUp = (length: number, at: Value) => addAt(op.zeros([length, ...shape.slice(1)]), at, rows);
  const made = columns && sumsPay(shape, rows.shape) ? tableOfSums(shape, at, rows, addUp) : addUp(length, at);
  const back = [...first.keys()].sort((a, b) => first[a]! - first[b]!);
  return op.transpose(made, back);
}

function scatterElements(to: Value, indices: Value, updates: Value, axis: number, reduction?: 'add'): Value {
  const reducing = reduction ? { reduction: { kind: 'string', value: reduction } as const } : {};
  const attributes = { axis: op.int(axis), ...reducing };
  return op.make('ScatterElements', [to, indices, updates], to.shape, updates.dataType, attributes);
}

/**
 * Numbers that ONNX Runtime 1.30 still adds on one thread. Where a ScatterND has twice as many, its threads add to one place
 * at the same time, and additions are lost.
 */
const addedAtOnce = 100_000;

/** Adds updates [positions…, slice…] at positions [positions…, depth], of which some may be the same. */
function addAt(to: Value, at: Value, updates: Value): Value {
  const count = size(at.shape.slice(0, -1));
  const slice = updates.shape.slice(at.shape.length - 1);
  const each = Math.max(1, Math.floor(addedAtOnce / Math.max(1, size(slice))));
  if (count <= each) return scatterND(to, at, updates, 'add');
  const positions = op.reshape(at, [count, at.shape.at(-1)!]);
  const rows = op.reshape(updates, [count, ...slice]);
  let sum = to;
  for (let start = 0; start < count; start += each) {
    const some = [{ axis: 0, start, end: Math.min(count, start + each), step: 1 }];
    sum = scatterND(sum, op.slice(positions, some), op.slice(rows, some), 'add');
  }
  return sum;
}

/** Every ScatterND copies what it adds to: where the table is larger than what it gets, and gets it in several parts. */
const sumsPay = (table: Shape, rows: Shape): boolean => table[0]! > rows[0]! && size(rows) > addedAtOnce;

/** ScatterND takes int64 only. */
const longs = (indices: Value): Value => (indices.dataType === 'int64' ? indices : op.cast(indices, 'int64', 7));

/** Positions within each batch, with the batch's own place before them. */
function coordinates(indices: Value, batchDims: number): Value {
  if (batchDims === 0) return indices;
  const batch = indices.shape.slice(0, batchDims);
  const places = [...indices.shape.slice(0, -1), batchDims];
  const own = Array.from({ length: size(batch) }, (_, i) => placeOf(i, batch)).flat();
  const apart = [...batch, ...indices.shape.slice(batchDims, -1).map(() => 1), batchDims];
  return op.concat([op.expand(constant(own, apart, 'int64'), places), indices], indices.shape.length - 1);
}

/** The coordinates of an element by its place in row-major order. */
function placeOf(i: number, shape: Shape): number[] {
  let rest = i;
  return [...shape]
    .reverse()
    .map((length) => {
      const at = rest % length;
      rest = Math.floor(rest / length);
      return at;
    })
    .reverse();
}
