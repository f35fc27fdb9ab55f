import type { Attribute } from '@modelmill/onnx';

/** Numbers in row-major order. */
export interface Numbers {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

export interface KernelQuestion {
  readonly opType: string;
  readonly opset: number;
  readonly x: readonly (Numbers | undefined)[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  int(name: string, otherwise: number): number;
  float(name: string, otherwise: number): number;
  list(name: string, otherwise: readonly number[]): readonly number[];
  word(name: string, otherwise: string): string;
}

export type Kernel = (question: KernelQuestion) => readonly Numbers[];

export const sizeOf = (dims: readonly number[]) => dims.reduce((product, length) => product * length, 1);
