import type { Attribute, DataType, Tensor } from '@modelmill/onnx';

export type Shape = readonly number[];

/** Where a value comes from. */
export type Source =
  /** Fed at every run. */
  | { readonly kind: 'input'; readonly name: string }
  /** Numbers known now; kept as doubles until they are written. */
  | { readonly kind: 'constant'; readonly values: ArrayLike<number> }
  /** A tensor of the graph that is not looked into. */
  | { readonly kind: 'tensor'; readonly tensor: Tensor }
  | { readonly kind: 'operation'; readonly operation: Operation; readonly index: number };

/** One value of a graph: what it is computed from, its type and its static shape. */
export interface Value {
  readonly source: Source;
  readonly dataType: DataType;
  readonly shape: Shape;
  shortcut?: Shortcut;
  rows?: TableRows;
}

/** What a table has where it is not zero. */
export interface TableRows {
  /** [count, 1]; a position may be there several times. */
  readonly at: Value;
  /** [count, …]: what the table has at each position. */
  readonly values: Value;
  /** [count, …]: the same, each position's once, and zeros. */
  readonly sums: Value;
  /** [count, …]: what was added up there; undefined where that was changed since. */
  readonly added: Value | undefined;
}

/**
 * The gradient in one formula, where a walk through the operations would be slower or less exact. `gradients` gives one
 * thunk per operand, as a gradient rule does.
 */
export interface Shortcut {
  readonly operands: readonly Value[];
  /** The values it is the gradient of, where it is of several; all of them carry it. */
  readonly outputs?: readonly Value[];
  /** `all`: the gradients of `outputs`, undefined where the loss does not depend on one; `g` that of the first. */
  readonly gradients: (g: Value, all: readonly (Value | undefined)[]) => readonly (() => Value)[];
}

/** One node of a graph. An input or output that is left out is undefined. */
export interface Operation {
  readonly opType: string;
  readonly domain: string;
  /** The node's name in the graph it was read from; '' for what autodiff adds. */
  readonly node: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly outputs: readonly Value[];
  /** The node that this is a part of another form of: what is added has no name of its own. */
  owner?: string;
}

/** Of ONNX Runtime's own operators. */
export const runtimeDomain = 'com.microsoft';

/** A value's type, before there is a value. */
export type Type = Pick<Value, 'dataType' | 'shape'>;

/** The values of a new node, one per type. */
export function operation(
  node: Omit<Operation, 'outputs' | 'domain' | 'node'> & Partial<Pick<Operation, 'domain' | 'node'>>,
  types: readonly Type[],
): readonly Value[] {
  const outputs: Value[] = [];
  const made: Operation = { domain: '', node: '', ...node, outputs };
  types.forEach(({ dataType, shape }, index) => {
    outputs.push({ source: { kind: 'operation', operation: made, index }, dataType, shape });
  });
  return outputs;
}

export const input = (name: string, shape: Shape, dataType: DataType = 'float'): Value => ({
  source: { kind: 'input', name },
  dataType,
  shape,
});

export const constant = (values: ArrayLike<number>, shape: Shape, dataType: DataType = 'float'): Value => ({
  source: { kind: 'constant', values },
  dataType,
  shape,
});

export const scalar = (value: number): Value => constant([value], []);

/** A list of integers, as Reshape, Slice and Pad take them. */
export const ints = (values: readonly number[]): Value => constant(values, [values.length], 'int64');

export const size = (shape: Shape): number => shape.reduce((product, d) => product * d, 1);

/** The inputs a value is computed from; none for a leaf. */
export const operandsOf = (value: Value): readonly (Value | undefined)[] =>
  value.source.kind === 'operation' ? value.source.operation.inputs : [];

/** Gradients flow through these only. */
export const isFloat = ({ dataType }: Value): boolean =>
  dataType === 'float' || dataType === 'double' || dataType === 'float16' || dataType === 'bfloat16';
