import { OnnxFormatError } from './model.js';
import type { Attribute, DataType, Tensor } from './model.js';

/** Bits of one element; 0 for strings. */
const bits: Readonly<Record<DataType, number>> = {
  float: 32,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  int32: 32,
  int64: 64,
  string: 0,
  bool: 8,
  float16: 16,
  double: 64,
  uint32: 32,
  uint64: 64,
  complex64: 64,
  complex128: 128,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  uint4: 4,
  int4: 4,
};

/** Open Inference Protocol names; a type without one cannot be served. */
const oipNames: Readonly<Partial<Record<DataType, string>>> = {
  float: 'FP32',
  uint8: 'UINT8',
  int8: 'INT8',
  uint16: 'UINT16',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  string: 'BYTES',
  bool: 'BOOL',
  float16: 'FP16',
  double: 'FP64',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bfloat16: 'BF16',
};

export const oipDatatype = (dataType: DataType): string | undefined => oipNames[dataType];

export const elementCount = (dims: readonly number[]): number => dims.reduce((product, size) => product * size, 1);

/** Bytes of a dense tensor; undefined for strings, whose lengths vary. */
export function tensorBytes(dataType: DataType, dims: readonly number[]): number | undefined {
  return bits[dataType] === 0 ? undefined : Math.ceil((elementCount(dims) * bits[dataType]) / 8);
}

/** Bytes of a tensor, without a look at them where they can be told. */
export const byteLength = (tensor: Tensor): number => tensorBytes(tensor.dataType, tensor.dims) ?? tensor.bytes.length;

/** A tensor whose bytes are made anew at every look: a model takes no memory for them. */
export const computedTensor = ({ name, dataType, dims }: Omit<Tensor, 'bytes'>, make: () => Uint8Array): Tensor => ({
  name,
  dataType,
  dims,
  get bytes() {
    return make();
  },
});

/** The same tensor under another name. */
export const renamedTensor = (tensor: Tensor, name: string): Tensor =>
  tensor.name === name ? tensor : computedTensor({ ...about(tensor), name }, () => tensor.bytes);

const about = ({ name, dataType, dims }: Tensor) => ({ name, dataType, dims });

export function floatTensor(name: string, dims: readonly number[], values: ArrayLike<number>): Tensor {
  const floats = new Float32Array(values);
  expectCount(name, dims, floats.length);
  return { name, dataType: 'float', dims, bytes: new Uint8Array(floats.buffer) };
}

export function int64Tensor(name: string, dims: readonly number[], values: ArrayLike<number>): Tensor {
  expectCount(name, dims, values.length);
  const ints = BigInt64Array.from(values, toInt64);
  return { name, dataType: 'int64', dims, bytes: new Uint8Array(ints.buffer) };
}

/** Integers of 8 or 32 bits, as quantization stores them; an array of just that type is taken as it is, not copied. */
export function intTensor(
  name: string,
  dataType: 'int8' | 'uint8' | 'int32',
  dims: readonly number[],
  values: ArrayLike<number>,
): Tensor {
  const make = { int8: Int8Array, uint8: Uint8Array, int32: Int32Array }[dataType];
  const ints = values instanceof make ? values : new make(values);
  expectCount(name, dims, ints.length);
  return { name, dataType, dims, bytes: new Uint8Array(ints.buffer, ints.byteOffset, ints.byteLength) };
}

function expectCount(name: string, dims: readonly number[], count: number): void {
  if (count !== elementCount(dims)) {
    throw new Error(`tensor '${name}' of [${dims.join(', ')}] got ${count} values, wants ${elementCount(dims)}`);
  }
}

/** The values of a float or double tensor as float32. */
export function floatsOf(tensor: Tensor): Float32Array {
  const copied = new Uint8Array(tensor.bytes).buffer;
  switch (tensor.dataType) {
    case 'float':
      return new Float32Array(copied);
    case 'double':
      return Float32Array.from(new Float64Array(copied));
    default:
      throw new OnnxFormatError(`tensor '${tensor.name}' is ${tensor.dataType}, wants float`);
  }
}

/** As `floatsOf`, without a copy where the bytes lie well: not to be changed. */
export function floatView(tensor: Tensor): Readonly<Float32Array> {
  const { dataType, bytes } = tensor;
  if (dataType !== 'float' || bytes.byteOffset % 4 !== 0) return floatsOf(tensor);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The values of an integer or bool tensor; beyond 2^53 the nearest double. */
export function intsOf(tensor: Tensor): number[] {
  const copied = new Uint8Array(tensor.bytes).buffer;
  switch (tensor.dataType) {
    case 'int64':
      return Array.from(new BigInt64Array(copied), Number);
    case 'uint64':
      return Array.from(new BigUint64Array(copied), Number);
    case 'int32':
      return Array.from(new Int32Array(copied));
    case 'uint32':
      return Array.from(new Uint32Array(copied));
    case 'int16':
      return Array.from(new Int16Array(copied));
    case 'uint16':
      return Array.from(new Uint16Array(copied));
    case 'int8':
      return Array.from(new Int8Array(copied));
    case 'uint8':
    case 'bool':
      return Array.from(new Uint8Array(copied));
    default:
      throw new OnnxFormatError(`tensor '${tensor.name}' is ${tensor.dataType}, wants integers`);
  }
}

/** Saturates at the ends of int64, which doubles cannot hold exactly. */
export function toInt64(value: number): bigint {
  if (value >= 2 ** 63) return 2n ** 63n - 1n;
  if (value <= -(2 ** 63)) return -(2n ** 63n);
  return BigInt(value);
}

/** An attribute of the kind its value has; a number is an integer: floats are `floatAttribute`. */
export function attribute(value: number | string | readonly number[] | readonly string[] | Tensor): Attribute {
  if (typeof value === 'number') return { kind: 'int', value };
  if (typeof value === 'string') return { kind: 'string', value };
  if (!isList(value)) return { kind: 'tensor', value };
  return value.every((item): item is string => typeof item === 'string') && value.length > 0
    ? { kind: 'strings', value }
    : { kind: 'ints', value: value as readonly number[] };
}

const isList = (
  value: readonly number[] | readonly string[] | Tensor,
): value is readonly number[] | readonly string[] => Array.isArray(value);

export const floatAttribute = (value: number): Attribute => ({ kind: 'float', value });
