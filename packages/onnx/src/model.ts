/** TensorProto.DataType numbers. */
export const dataTypes = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
} as const;

export type DataType = keyof typeof dataTypes;

/**
 * A named constant. `bytes` are little-endian and row-major, a view into the file where the file held raw data;
 * strings are UTF-8, each behind its length as a 32-bit integer. Where the model was read from a source, a look at the
 * bytes of a large tensor reads them anew: take them once, and let them go.
 */
export interface Tensor {
  readonly name: string;
  readonly dataType: DataType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

/** Values and their positions; `indices` are [count] linear or [count, rank] coordinates. */
export interface SparseTensor {
  readonly values: Tensor;
  readonly indices: Tensor;
  readonly dims: readonly number[];
}

/** Integers beyond 2^53 saturate to ±2^63 on the way back, so that the largest int64 survives a round trip. */
export type Attribute =
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  | { readonly kind: 'sparseTensor'; readonly value: SparseTensor }
  /** A function's own attribute, by name. */
  | { readonly kind: 'reference'; readonly value: string; readonly type: number }
  /** A kind this mesh does not look into, as it was encoded. */
  | { readonly kind: 'opaque'; readonly bytes: Uint8Array };

export interface Node {
  name: string;
  opType: string;
  domain: string;
  /** '' stands for an optional input that is left out. */
  inputs: string[];
  outputs: string[];
  attributes: Map<string, Attribute>;
}

/** A size, a symbol, or unknown. */
export type Dim = number | string | undefined;

export interface ValueType {
  readonly dataType: DataType;
  /** Undefined: even the rank is unknown. */
  readonly shape: readonly Dim[] | undefined;
}

/** A named graph value. Values that are no tensors keep their type as it was encoded. */
export type ValueInfo = { readonly name: string } & (
  | (ValueType & { readonly opaque?: undefined })
  | { readonly dataType: undefined; readonly shape: undefined; readonly opaque: Uint8Array }
);

export interface Graph {
  name: string;
  nodes: Node[];
  initializers: Map<string, Tensor>;
  sparseInitializers: Map<string, SparseTensor>;
  inputs: ValueInfo[];
  outputs: ValueInfo[];
  valueInfo: ValueInfo[];
}

/** A model-local function: a node of its domain and name stands for its nodes. */
export interface FunctionDef {
  name: string;
  domain: string;
  overload: string;
  inputs: string[];
  outputs: string[];
  nodes: Node[];
  /** What an attribute is where a call does not say it. */
  readonly defaults: ReadonlyMap<string, Attribute>;
  /** Domain to version, of its nodes. */
  readonly opsets: ReadonlyMap<string, number>;
  /** As it was encoded. */
  readonly bytes: Uint8Array;
}

export interface Model {
  irVersion: number;
  /** Domain to version; '' is ai.onnx. */
  opsets: Map<string, number>;
  producer: string;
  metadata: Map<string, string>;
  graph: Graph;
  functions: FunctionDef[];
}

/** The bytes are not an ONNX model, or one this reader does not take. */
export class OnnxFormatError extends Error {
  override readonly name = 'OnnxFormatError';
}

/** Shapes of a node's operands do not fit, or cannot be known. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}
