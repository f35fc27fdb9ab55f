import type { inference } from '@modelmill/contracts';
import { encodeStrings } from '@modelmill/runtime';
import { outOfRange, wrongContents } from './errors.js';

type Contents = inference.InferTensorContents;
type Field = keyof Contents;

const fieldNames: Readonly<Record<Field, string>> = {
  boolContents: 'BOOL',
  intContents: 'INT32',
  int64Contents: 'INT64',
  uintContents: 'UINT32',
  uint64Contents: 'UINT64',
  fp32Contents: 'FP32',
  fp64Contents: 'FP64',
  bytesContents: 'BYTES',
};

/** Which field holds a datatype's elements. FP16 has none: it travels raw. */
const fieldOf: Readonly<Record<string, Field>> = {
  BOOL: 'boolContents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
};

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  INT8: [-128, 127],
  INT16: [-32768, 32767],
  UINT8: [0, 255],
  UINT16: [0, 65535],
};

/** The raw bytes and the number of elements of typed contents. */
export function rawOfTyped(
  model: string,
  input: string,
  datatype: string,
  contents: Contents,
): { data: Uint8Array; count: number } {
  const field = fieldOf[datatype];
  const filled = (Object.keys(fieldNames) as Field[]).find((name) => name !== field && contents[name].length > 0);
  if (field === undefined || filled !== undefined) {
    throw wrongContents(model, input, filled === undefined ? 'none' : fieldNames[filled], datatype);
  }
  const range = ranges[datatype];
  if (range !== undefined) {
    const values = datatype.startsWith('U') ? contents.uintContents : contents.intContents;
    const outside = values.find((value) => value < range[0] || value > range[1]);
    if (outside !== undefined) throw outOfRange(model, input, outside, datatype);
  }
  return { data: bytesOf(datatype, contents), count: contents[field].length };
}

function bytesOf(datatype: string, contents: Contents): Uint8Array {
  switch (datatype) {
    case 'BOOL':
      return Uint8Array.from(contents.boolContents, Number);
    case 'INT8':
      return bytes(Int8Array.from(contents.intContents));
    case 'INT16':
      return bytes(Int16Array.from(contents.intContents));
    case 'INT32':
      return bytes(Int32Array.from(contents.intContents));
    case 'INT64':
      return bytes(BigInt64Array.from(contents.int64Contents));
    case 'UINT8':
      return Uint8Array.from(contents.uintContents);
    case 'UINT16':
      return bytes(Uint16Array.from(contents.uintContents));
    case 'UINT32':
      return bytes(Uint32Array.from(contents.uintContents));
    case 'UINT64':
      return bytes(BigUint64Array.from(contents.uint64Contents));
    case 'FP32':
      return bytes(Float32Array.from(contents.fp32Contents));
    case 'FP64':
      return bytes(Float64Array.from(contents.fp64Contents));
    case 'BYTES':
      return encodeStrings(contents.bytesContents);
    default:
      throw new Error(`datatype ${datatype} has no typed contents`);
  }
}

const bytes = (array: NodeJS.TypedArray) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
