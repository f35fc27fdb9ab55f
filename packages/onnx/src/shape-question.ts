import { ShapeError } from './model.js';
import type { DataType, Node, ValueType } from './model.js';
import { sizes } from './quoted.js';

/** A value whose every size is known. */
export interface StaticType extends ValueType {
  readonly dataType: DataType;
  readonly shape: readonly number[];
}

/** What a shape rule sees of a node. */
export interface ShapeQuestion {
  readonly node: Node;
  /** Version of ai.onnx. */
  readonly opset: number;
  /** Types of the inputs in order; undefined for one that is left out. */
  readonly x: readonly (StaticType | undefined)[];
  /** The integers of an input by its position; undefined where it is left out. Throws where it is no constant. */
  ints(position: number): readonly number[] | undefined;
  /** As `ints`, of an input of floats, or of an attribute that older operator sets have in its place. */
  floats(position: number): readonly number[] | undefined;
  int(name: string, otherwise: number): number;
  list(name: string): readonly number[] | undefined;
  word(name: string, otherwise: string): string;
}

export type ShapeRule = (question: ShapeQuestion) => StaticType[];

export function known(type: StaticType | undefined): StaticType {
  if (!type) throw new ShapeError('an input is missing');
  return type;
}

export function given(values: readonly number[] | undefined, what: string): readonly number[] {
  if (!values) throw new ShapeError(`its ${what} is missing`);
  return values;
}

export const product = (list: readonly number[]) => list.reduce((all, size) => all * size, 1);

export function axisOf(axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!(positive >= 0 && positive < rank)) throw new ShapeError(`axis ${axis} of ${rank} axes`);
  return positive;
}

/** https://onnx.ai/onnx/repo-docs/Broadcasting.html, multidirectional. */
export function broadcast(a: readonly number[], b: readonly number[]): readonly number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const m = a[a.length - rank + axis] ?? 1;
    const n = b[b.length - rank + axis] ?? 1;
    if (m !== n && m !== 1 && n !== 1) throw new ShapeError(`cannot broadcast ${sizes(a)} with ${sizes(b)}`);
    return m === 1 ? n : m;
  });
}
