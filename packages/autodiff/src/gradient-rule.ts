import type { Operation, Value } from './value.js';

/** What a rule sees. */
export interface GradientQuestion {
  readonly operation: Operation;
  /** The inputs. */
  readonly x: readonly Value[];
  /** The first output. */
  readonly y: Value;
  /** Gradient of the loss with respect to `y`. */
  readonly g: Value;
  /** Gradients of all outputs; undefined where the loss does not depend on one. */
  readonly all: readonly (Value | undefined)[];
  /** Whether the step is for the CPU, where products with columns, and ONNX Runtime's own operators, pay. */
  readonly columns: boolean;
  int(name: string, otherwise: number): number;
  float(name: string, otherwise: number): number;
  list(name: string): readonly number[] | undefined;
  word(name: string, otherwise: string): string;
}

/**
 * A gradient per input, made only where it is asked for; undefined where none flows. Its shape may be the broadcast
 * one: the walk sums it back to the input's.
 */
export type GradientRule = (question: GradientQuestion) => readonly ((() => Value) | undefined)[];

/** dL/dx of an element-wise function of one input. */
export const unary =
  (gradient: (question: GradientQuestion & { readonly input: Value }) => Value): GradientRule =>
  (question) => [() => gradient({ ...question, input: question.x[0]! })];

export const axisOf = (axis: number, { shape }: Value): number => (axis < 0 ? axis + shape.length : axis);
