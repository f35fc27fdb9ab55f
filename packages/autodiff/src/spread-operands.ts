import { constantsOf } from './constants-of.js';
import { sameShape } from './ops.js';
import { size } from './value.js';
import type { Shape, Value } from './value.js';

/** Operands that repeat each place of a value over a window: an operator on each element broadcasts that value instead. */
export interface Spreads {
  /** What they repeat, with the examples last: [c, places, n]. */
  readonly found: ReadonlyMap<Value, Value>;
  /** The axes of places, each parted into windows and the places of one where something is spread over them. */
  axes(spatial: Shape): number[];
  /** The same of what is spread: one place for each window. */
  narrowAxes(spatial: Shape): number[];
}

/**
 * Of an operator's operands of the whole size; `madeLast` gives what is made with the examples last. Undefined where they are
 * spread over different windows, or no operand has the whole size without being spread.
 */
export function spreadsAmong(
  operands: readonly Value[],
  madeLast: (value: Value) => Value | undefined,
): Spreads | undefined {
  const spreads = operands.flatMap((operand) => {
    const spread = spreadOf(operand, madeLast);
    return spread ? [{ operand, ...spread }] : [];
  });
  const found = new Map(spreads.map(({ operand, last }) => [operand, last]));
  const [first] = spreads;
  if (!first) return { found, axes: (spatial) => [size(spatial)], narrowAxes: () => [] };
  const { widths } = first;
  if (spreads.some((other) => !sameShape(other.widths, widths))) return undefined;
  if (operands.every((operand) => found.has(operand))) return undefined;
  return {
    found,
    axes: (spatial) => spatial.flatMap((count, i) => [count / widths[i]!, widths[i]!]),
    narrowAxes: (spatial) => spatial.flatMap((count, i) => [count / widths[i]!, 1]),
  };
}

/** A Resize that repeats each place `widths` times. */
function spreadOf({ source, shape }: Value, madeLast: (value: Value) => Value | undefined) {
  if (source.kind !== 'operation' || source.operation.opType !== 'Resize') return undefined;
  const { inputs, attributes } = source.operation;
  const [x, , scales] = inputs;
  const last = x && madeLast(x);
  const isWord = (name: string, word: string) => {
    const found = attributes.get(name);
    return found?.kind === 'string' && found.value === word;
  };
  const nearest =
    isWord('mode', 'nearest') &&
    isWord('coordinate_transformation_mode', 'asymmetric') &&
    isWord('nearest_mode', 'floor');
  const [ofExamples, ofChannels, ...widths] = constantsOf(scales);
  if (!last || !nearest || ofExamples !== 1 || ofChannels !== 1 || widths.length !== shape.length - 2) return undefined;
  const whole = widths.every((width, i) => Number.isInteger(width) && x.shape[i + 2]! * width === shape[i + 2]);
  return whole ? { last, widths } : undefined;
}
