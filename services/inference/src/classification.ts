import { encodeStrings } from '@modelmill/runtime';
import type { TensorData } from '@modelmill/runtime';
import * as errors from './errors.js';

type Read = (view: DataView, at: number) => number | bigint;

const readers: Readonly<Record<string, { readonly bytes: number; readonly read: Read }>> = {
  INT8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  UINT8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  INT16: { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  UINT16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  INT32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  UINT32: { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  INT64: { bytes: 8, read: (view, at) => view.getBigInt64(at, true) },
  UINT64: { bytes: 8, read: (view, at) => view.getBigUint64(at, true) },
  FP32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  FP64: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};

/** Whether a datatype has an order by which classes can be told. */
export const isClassifiable = (datatype: string): boolean => datatype in readers;

/**
 * An output as its `most` largest values, best first: BYTES of shape [rows, k] where the model is batched and [k] where it
 * is not, each element "value:index" as Triton's classification extension writes it.
 */
export function classified(output: string, tensor: TensorData, most: number, batched: boolean): TensorData {
  const { datatype, shape, data } = tensor;
  const reader = readers[datatype];
  if (reader === undefined) throw errors.notClassifiable(output, datatype);
  const rows = batched ? (shape[0] ?? 1) : 1;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const width = rows === 0 ? 0 : data.byteLength / reader.bytes / rows;
  const kept = Math.min(most, width);
  const texts = Array.from({ length: rows }, (_, row) => {
    const values = Array.from({ length: width }, (_, i) => reader.read(view, (row * width + i) * reader.bytes));
    const order = values.map((_, i) => i).sort((a, b) => descending(values[a]!, values[b]!) || a - b);
    return order.slice(0, kept).map((index) => `${text(values[index]!)}:${index}`);
  });
  return { datatype: 'BYTES', shape: batched ? [rows, kept] : [kept], data: encodeStrings(texts.flat()) };
}

/** What is no number comes last. */
function descending(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0;
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : 1;
  return Number.isNaN(b) || a > b ? -1 : 1;
}

/** Six decimals, as C++ writes floats. */
const text = (value: number | bigint) =>
  typeof value === 'bigint' || Number.isInteger(value) ? String(value) : value.toFixed(6);
