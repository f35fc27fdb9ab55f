import { elementBytes } from '@modelmill/runtime';
import type { TensorData } from '@modelmill/runtime';

export type Tensors = Map<string, TensorData>;

/** Requests with the same key differ in their number of rows only: they may share an execution. */
export function batchKey(inputs: ReadonlyMap<string, TensorData>): string {
  let key = '';
  for (const { shape } of inputs.values()) {
    for (let axis = 1; axis < shape.length; axis++) key += `${shape[axis]},`;
    key += ';';
  }
  return key;
}

/** One tensor per input, with the rows of all requests in order. */
export function gather(requests: readonly { readonly inputs: Tensors; readonly rows: number }[]): Tensors {
  const first = requests[0]!;
  if (requests.length === 1) return first.inputs;
  const rows = requests.reduce((sum, request) => sum + request.rows, 0);
  const batch: Tensors = new Map();
  for (const [name, { datatype, shape }] of first.inputs) {
    const data = Buffer.concat(requests.map(({ inputs }) => inputs.get(name)!.data));
    batch.set(name, { datatype, shape: [rows, ...shape.slice(1)], data });
  }
  return batch;
}

/** Each request's rows, as views into the results; undefined where an output has not one row per input row. */
export function split(results: Tensors, rows: readonly number[]): Tensors[] | undefined {
  if (rows.length === 1) return [results];
  const total = rows.reduce((sum, count) => sum + count, 0);
  const parts: Tensors[] = rows.map(() => new Map());
  for (const [name, { datatype, shape, data }] of results) {
    if (shape[0] !== total) return undefined;
    const offsets = rowOffsets(datatype, data, total);
    const rest = shape.slice(1);
    let row = 0;
    for (let index = 0; index < rows.length; index++) {
      const end = row + rows[index]!;
      parts[index]!.set(name, {
        datatype,
        shape: [rows[index]!, ...rest],
        data: data.subarray(offsets(row), offsets(end)),
      });
      row = end;
    }
  }
  return parts;
}

/** Where each row begins. */
function rowOffsets(datatype: string, data: Uint8Array, rows: number): (row: number) => number {
  if (elementBytes(datatype) !== 0) {
    const rowBytes = data.byteLength / rows;
    return (row) => row * rowBytes;
  }
  const starts = stringStarts(data);
  const perRow = (starts.length - 1) / rows;
  return (row) => starts[row * perRow]!;
}

/** Where each string begins, and where the last one ends. */
function stringStarts(data: Uint8Array): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const starts = [0];
  for (let at = 0; at < data.byteLength; starts.push(at)) at += 4 + view.getUint32(at, true);
  return starts;
}
