import { RunnerError, zeroInputs } from '@modelmill/runtime';
import type { TensorSignature } from '@modelmill/runtime';
import type { Tensors } from './batch.js';

/** Milliseconds of one execution by its rows, growing; empty where it could not be measured. */
export type CostCurve = readonly { readonly rows: number; readonly ms: number }[];

type Point = { readonly rows: number; ms: number };

const growth = 4;
const longestMs = 250; // no size is tried that should take longer
const takes = { least: 3, most: 5, ms: 500 }; // as many as that time allows, of which the fastest counts
const worthwhile = 1.03; // more than what the fastest differ by from day to day
const dearest = 1.5; // of a row in a part, against one in the whole

/** The whole of an execution, and what of it ONNX Runtime took. */
export interface ExecutionCost {
  readonly whole: CostCurve;
  readonly compute: CostCurve;
}

type Run = (inputs: Tensors) => Promise<{ readonly computeNs: bigint }>;

/**
 * Times executions of 1, 4, 16, … rows of zeros, up to `maxBatch` and while one takes less than about 250 ms. A model
 * whose inputs are of open sizes beyond the batch tells nothing this way. What a runner has no memory or time for is not
 * measured, either.
 */
export async function measureCost(
  inputs: readonly TensorSignature[],
  maxBatch: number,
  run: Run,
): Promise<ExecutionCost> {
  if (inputs.some(({ shape }) => shape.slice(1).includes(-1))) return { whole: [], compute: [] };
  const curve: Point[] = [];
  const compute: Point[] = [];
  for (let rows = 1; rows <= maxBatch; rows = rows < maxBatch ? Math.min(rows * growth, maxBatch) : Infinity) {
    const last = curve.at(-1);
    if (last !== undefined && (last.ms / last.rows) * rows > longestMs) break;
    try {
      if (last === undefined) {
        const [alone] = await inTurn([rows], inputs, run);
        curve.push({ rows, ms: alone!.whole });
        compute.push({ rows, ms: alone!.compute });
      } else {
        const [more, fewer] = await inTurn([rows, last.rows], inputs, run);
        goOn(curve, rows, fewer!.whole, more!.whole);
        goOn(compute, rows, fewer!.compute, more!.compute);
      }
    } catch (error) {
      if (last !== undefined && isTooMuch(error)) break; // fewer rows are answered all the same
      throw error;
    }
  }
  return { whole: curve, compute };
}

/** The fastest of a few executions of each, one after the other: what slows the machine for a while slows all of them. */
async function inTurn(
  sizes: readonly number[],
  inputs: readonly TensorSignature[],
  run: Run,
): Promise<{ whole: number; compute: number }[]> {
  const batches = sizes.map((rows) => zeroInputs(inputs, rows));
  const fastest = batches.map(() => ({ whole: Infinity, compute: Infinity }));
  const until = performance.now() + takes.ms;
  for (let take = 0; take < takes.most && (take < takes.least || performance.now() < until); take++) {
    for (const [index, batch] of batches.entries()) {
      const begun = performance.now();
      const { computeNs } = await run(batch);
      const { whole, compute } = fastest[index]!;
      fastest[index] = {
        whole: Math.min(whole, performance.now() - begun),
        compute: Math.min(compute, Number(computeNs) / 1e6),
      };
    }
  }
  return fastest;
}

/** Another point of a curve that grows, by what it and the last one take now; where that is less than it was, so were all. */
function goOn(curve: Point[], rows: number, fewer: number, more: number): void {
  const last = curve.at(-1)!.ms;
  const faster = last > 0 ? Math.min(1, fewer / last) : 1;
  for (const point of curve) point.ms *= faster;
  curve.push({ rows, ms: fewer > 0 ? last * faster * Math.max(1, more / fewer) : more });
}

const isTooMuch = (error: unknown) =>
  error instanceof RunnerError && (error.kind === 'memory' || error.kind === 'timeout');

/** The fewest rows an execution needs to be, per row, about as fast as any measured one; `maxBatch` where none was. */
export function preferredBatch(curve: CostCurve, maxBatch: number): number {
  const perRow = curve.map(({ rows, ms }) => ms / rows);
  const best = Math.min(...perRow);
  return curve.find((_, index) => perRow[index]! <= best * worthwhile)?.rows ?? maxBatch;
}

/** Whether rows cost not much more each where `part` of them are executed, and not `whole`; of what was not measured it is believed. */
export const isWorthParting = (curve: CostCurve, part: number, whole: number): boolean =>
  costOf(curve, part) / part <= (dearest * costOf(curve, whole)) / whole;

/** Milliseconds an execution of so many rows takes by the curve; straight lines between and beyond what was measured. */
export function costOf(curve: CostCurve, rows: number): number {
  const above = curve.findIndex((point) => point.rows >= rows);
  const last = curve.at(-1);
  if (last === undefined || rows === 0) return 0;
  if (above < 0) return (last.ms / last.rows) * rows;
  const { rows: high, ms } = curve[above]!;
  const below = curve[above - 1];
  if (below === undefined) return ms;
  return below.ms + ((ms - below.ms) * (rows - below.rows)) / (high - below.rows);
}
