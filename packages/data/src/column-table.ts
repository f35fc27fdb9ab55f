import type { MissingRule } from './column-roles.js';
import type { Records } from './records.js';
import { DatasetError } from './table.js';
import type { Column, Table, TableLimits } from './table.js';
import type { Targets } from './target-column.js';

/** A column as it was read. */
export interface FeatureColumn {
  readonly name: string;
  readonly missing: number;
  /** Categories in order of appearance; undefined for numbers. */
  readonly places: readonly string[] | undefined;
  readonly mean: number;
}

/** The table of records that hold one number per column, and last what the target keeps. */
export function columnTable(
  records: Records,
  read: readonly FeatureColumn[],
  { target, targets, rule }: { target: string; targets: Targets; rule: MissingRule },
  limits: TableLimits,
): Table {
  const columns = read.map(({ name, missing, places, mean }, slot): Column => {
    if (places) return { name, missing, categories: [...places].sort(), fill: undefined };
    const fill = () => (rule === 'mean' ? mean : rule === 'median' ? median(records, slot) : 0);
    return { name, missing, categories: undefined, fill: missing > 0 ? Math.fround(fill()) : undefined };
  });
  const featureNames = columns.flatMap(({ name, categories }) =>
    categories ? categories.map((category) => `${name}=${category}`) : [name],
  );
  if (featureNames.length > limits.columns) {
    throw new DatasetError(`the columns make ${featureNames.length} features, wanted at most ${limits.columns}`);
  }
  const features = featureNames.length;
  /** Of each column: where its first feature lies, and by place of appearance which of its features a category is. */
  let next = 0;
  const layout = columns.map(({ categories, fill = NaN }, slot) => {
    const at = next;
    next += categories?.length ?? 1;
    const order = categories && read[slot]!.places!.map((category) => categories.indexOf(category));
    return { at, fill, order: order && Uint32Array.from(order) };
  });
  const isPlain = columns.every(({ categories, missing }) => categories === undefined && missing === 0);
  const { width } = records;
  let kept = new Float32Array(0);

  function rowsInto(rows: Uint32Array, to: Float32Array, targetsTo: Float32Array): void {
    if (kept.length < rows.length * width) kept = new Float32Array(rows.length * width);
    records.read(rows, kept);
    if (!isPlain) to.fill(0, 0, rows.length * features);
    for (let i = 0; i < rows.length; i++) {
      const from = i * width;
      targetsTo[i] = targets.of(rows[i]!, kept[from + width - 1]!);
      if (isPlain) to.set(kept.subarray(from, from + width - 1), i * features);
      else expand(from, to, i * features);
    }
  }

  function expand(from: number, to: Float32Array, first: number): void {
    for (let slot = 0; slot < layout.length; slot++) {
      const { at, fill, order } = layout[slot]!;
      const value = kept[from + slot]!;
      if (order === undefined) to[first + at] = Number.isNaN(value) ? fill : value;
      else if (!Number.isNaN(value)) to[first + at + order[value]!] = 1;
    }
  }

  return {
    rows: records.rows,
    featureShape: [features],
    featureNames,
    columns,
    target,
    classes: targets.classes,
    rowsInto,
    [Symbol.dispose]: () => records[Symbol.dispose](),
  };
}

/** The middle of a column's values; of an even number, the mean of the two in the middle. */
function median(records: Records, slot: number): number {
  const { rows, width } = records;
  const step = Math.max(1, Math.floor(2 ** 18 / width));
  const block = new Float32Array(step * width);
  const values = new Float32Array(rows);
  let found = 0;
  for (let first = 0; first < rows; first += step) {
    const some = Uint32Array.from({ length: Math.min(step, rows - first) }, (_, i) => first + i);
    records.read(some, block);
    for (let i = 0; i < some.length; i++) {
      const value = block[i * width + slot]!;
      if (!Number.isNaN(value)) values[found++] = value;
    }
  }
  const sorted = values.subarray(0, found).sort();
  return (sorted[(found - 1) >> 1]! + sorted[found >> 1]!) / 2;
}
