import type { DataType, Node } from '@modelmill/onnx';
import type { Shape, Value } from './value.js';

/** A dropout mask fed by the caller: each element 0 with probability `rate`, else 1 / (1 − rate). */
export interface DropoutMask {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rate: number;
}

/** What a lowering may ask and leave behind. */
export interface Reading {
  readonly node: Node;
  /** The operator set its graph is written in. */
  readonly opset: number;
  readonly x: readonly (Value | undefined)[];
  readonly outputs: readonly { readonly dataType: DataType; readonly shape: Shape }[];
  int(name: string, otherwise: number): number;
  float(name: string, otherwise: number): number;
  /** A mask the caller feeds. */
  mask(shape: Shape, rate: number): Value;
  /** A constant's only number. */
  number(position: number, otherwise: number): number;
  setStatistic(position: number, next: Value): void;
}
