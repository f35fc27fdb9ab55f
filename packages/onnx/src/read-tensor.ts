import { externalPlace } from './external-data.js';
import type { ExternalData, ExternalPlace } from './external-data.js';
import { OnnxFormatError, dataTypes } from './model.js';
import type { DataType, SparseTensor, Tensor } from './model.js';
import { bytesField, content, eachInt, fieldsIn, fixed, int, pushInts, text } from './protobuf-reader.js';
import type { Field } from './protobuf-reader.js';
import { quoted, sizes } from './quoted.js';
import { elementCount, tensorBytes } from './tensor.js';

const typeNames = new Map<number, DataType>(
  Object.entries(dataTypes).map(([name, number]) => [number, name as DataType]),
);

export function dataTypeOf(number: number): DataType {
  const name = typeNames.get(number);
  if (name === undefined) throw new OnnxFormatError(`element type ${number} is unknown`);
  return name;
}

/** Axes of a tensor, so that a list of sizes is worth multiplying. */
const maxRank = 64;
/** Elements of a tensor: what no file holds, and doubles still count. */
const maxElements = 2 ** 40;

/**
 * Reads a TensorProto; raw data is a view into its bytes. Throws where the data lies outside the file, unless it lies in one
 * of the files given.
 */
export function readTensor(message: Field, depth: number, files?: ExternalData): Tensor {
  let name = '';
  let dataType: DataType | undefined;
  let raw: Field | undefined;
  const dims: number[] = [];
  const typed: Field[] = [];
  let location = 0;
  const external: Field[] = [];
  for (const field of fieldsIn(message, depth)) {
    switch (field.number) {
      case 1:
        pushDims(field, dims);
        break;
      case 2:
        dataType = dataTypeOf(int(field));
        break;
      case 3:
        throw new OnnxFormatError('a tensor lies in segments, which is not taken');
      case 8:
        name = text(field);
        break;
      case 9:
        raw = bytesField(field);
        break;
      case 13:
        external.push(field);
        break;
      case 14:
        location = int(field);
        break;
      case 4:
      case 5:
      case 6:
      case 7:
      case 10:
      case 11:
        typed.push(field);
        break;
    }
  }
  const named = `tensor ${quoted(name)}`;
  const isExternal = location !== 0 || external.length > 0;
  if (isExternal && !files) throw new OnnxFormatError(`${named} keeps its data in another file, which is refused`);
  if (dataType === undefined) throw new OnnxFormatError(`${named} has no element type`);
  checkDims(named, dims);
  if (raw && typed.length > 0) throw new OnnxFormatError(`${named} has raw data and typed data, wants one`);
  if (raw && dataType === 'string') throw new OnnxFormatError(`${named} has strings as raw data`);
  if (isExternal) {
    const size = tensorBytes(dataType, dims);
    if (location !== 1 || raw || typed.length > 0 || size === undefined) {
      throw new OnnxFormatError(`${named} has data here and in another file, or of a kind that lies in none`);
    }
    return lazy(name, dataType, dims, externalPlace(named, external, files ?? new Map(), size));
  }
  const data = raw ?? { bytes: typedBytes(named, dataType, typed, dims) };
  const wanted = tensorBytes(dataType, dims);
  const got = raw ? raw.length : data.bytes.length;
  if (wanted !== undefined && got !== wanted) {
    throw new OnnxFormatError(`${named} of ${dataType} ${sizes(dims)} has ${got} bytes, wants ${wanted}`);
  }
  return raw?.place ? lazy(name, dataType, dims, raw.place) : { name, dataType, dims, bytes: data.bytes };
}

/** Its bytes are read at every look. */
const lazy = (
  name: string,
  dataType: DataType,
  dims: readonly number[],
  { source, at, length }: ExternalPlace,
): Tensor => ({
  name,
  dataType,
  dims,
  get bytes() {
    return source.read(at, length);
  },
});

function pushDims(field: Field, dims: number[]): void {
  if (dims.length + field.bytes.length / 10 > maxRank) throw new OnnxFormatError(`a tensor has over ${maxRank} axes`);
  pushInts(field, dims);
}

function checkDims(named: string, dims: readonly number[]): void {
  if (dims.length > maxRank) throw new OnnxFormatError(`${named} has ${dims.length} axes, wants at most ${maxRank}`);
  if (dims.some((size) => size < 0 || size > maxElements) || elementCount(dims) > maxElements) {
    throw new OnnxFormatError(`${named} has sizes ${sizes(dims)}, wants none negative and at most 2^40 elements`);
  }
}

export function readSparse(message: Field, depth: number): SparseTensor {
  let values: Tensor | undefined;
  let indices: Tensor | undefined;
  const dims: number[] = [];
  for (const field of fieldsIn(message, depth)) {
    if (field.number === 1) values = readTensor(field, depth + 1);
    else if (field.number === 2) indices = readTensor(field, depth + 1);
    else if (field.number === 3) pushDims(field, dims);
  }
  if (!values || !indices) throw new OnnxFormatError('a sparse tensor wants values and indices');
  checkDims(`sparse tensor ${quoted(values.name)}`, dims);
  return { values, indices, dims };
}

/** The field a type's data travels in where it is not raw. */
const typedField: Readonly<Partial<Record<DataType, number>>> = {
  float: 4,
  complex64: 4,
  string: 6,
  int64: 7,
  double: 10,
  complex128: 10,
  uint32: 11,
  uint64: 11,
};

/** Data of the typed fields as raw bytes. */
function typedBytes(named: string, dataType: DataType, typed: readonly Field[], dims: readonly number[]): Uint8Array {
  const wanted = typedField[dataType] ?? 5;
  const other = typed.find(({ number }) => number !== wanted);
  if (other) throw new OnnxFormatError(`${named} of ${dataType} has data in field ${other.number}, wants ${wanted}`);
  switch (wanted) {
    case 4:
      return joined(typed.map((field) => fixed(field, 4)));
    case 10:
      return joined(typed.map((field) => fixed(field, 8)));
    case 6:
      return lengthPrefixed(named, typed.map(content), elementCount(dims));
    default:
      return intBytes(named, dataType, typed, dims);
  }
}

/** A lone part stays a view: packed floats lie in the file as raw ones do. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Narrow types travel one to a varint, 4-bit types as the byte that holds two. */
function intBytes(named: string, dataType: DataType, typed: readonly Field[], dims: readonly number[]): Uint8Array {
  const bytes = tensorBytes(dataType, dims)!;
  const width = bytes === 0 ? 1 : Math.ceil(bytes / elementCount(dims));
  const count = bytes / width;
  // every number takes a byte of the file: what the sizes promise is only made room for where it can be there
  const most = typed.reduce((sum, field) => sum + (field.wire === 0 ? 1 : field.bytes.length), 0);
  if (most < count) throw new OnnxFormatError(`${named} has at most ${most} numbers, wants ${count}`);
  const words = width === 8 ? 2 : 1;
  const into = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Uint32Array }[width as 1 | 2 | 4 | 8];
  const whole = new into(count * words);
  let at = 0;
  for (const field of typed) {
    eachInt(field, (low, high) => {
      if (words === 2) whole[2 * at + 1] = high;
      whole[words * at++] = low;
    });
  }
  if (at !== count) throw new OnnxFormatError(`${named} of ${sizes(dims)} has ${at} numbers, wants ${count}`);
  return new Uint8Array(whole.buffer);
}

function lengthPrefixed(named: string, strings: readonly Uint8Array[], count: number): Uint8Array {
  if (strings.length !== count) {
    throw new OnnxFormatError(`${named} has ${strings.length} strings, wants ${count}`);
  }
  const bytes = new Uint8Array(strings.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const string of strings) {
    view.setUint32(at, string.length, true);
    bytes.set(string, at + 4);
    at += 4 + string.length;
  }
  return bytes;
}
