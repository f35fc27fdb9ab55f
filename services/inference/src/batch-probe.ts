import { RunnerError, elementBytes, zeroInputs } from '@modelmill/runtime';
import type { RunResult, TensorData, TensorSignature } from '@modelmill/runtime';
import { gather, split } from './batch.js';
import type { Tensors } from './batch.js';

/**
 * Whether two rows give together what they give apart. A model may take any number of rows and yet mix them, as one
 * that scales by the largest value of its input does: its requests must not be put together. Where the rows tried do
 * not fit the model, its word is taken.
 */
export async function rowsAreIndependent(
  inputs: readonly TensorSignature[],
  run: (inputs: Tensors) => Promise<RunResult>,
): Promise<boolean> {
  const rows = [1, 2].map((seed) => ({ inputs: probeRow(inputs, seed), rows: 1 }));
  try {
    const [first, second, both] = await Promise.all([run(rows[0]!.inputs), run(rows[1]!.inputs), run(gather(rows))]);
    const parts = split(both.outputs, [1, 1]);
    return parts !== undefined && agree(parts[0]!, first.outputs) && agree(parts[1]!, second.outputs);
  } catch (error) {
    if (error instanceof RunnerError && error.kind === 'model') return true;
    throw error;
  }
}

/** Real numbers differ from row to row and lie between 0 and the seed; whole numbers are 0, which every model knows. */
function probeRow(inputs: readonly TensorSignature[], seed: number): Tensors {
  const row = zeroInputs(inputs);
  for (const { data, datatype } of row.values()) {
    const floats = floatsOf(datatype, data);
    floats?.forEach((_, index) => (floats[index] = seed * (((index * 7919 + seed * 104729) % 1009) / 1009)));
  }
  return row;
}

function agree(part: Tensors, whole: Tensors): boolean {
  for (const [name, { datatype, data }] of whole) {
    const other = part.get(name)!;
    const want = floatsOf(datatype, data);
    const got = floatsOf(datatype, other.data);
    if (want === undefined || got === undefined) {
      if (Buffer.compare(data, other.data) !== 0) return false;
    } else if (want.some((value, index) => !close(value, got[index]!))) return false;
  }
  return true;
}

/** Sums may be taken in another order for another number of rows. */
const close = (a: number, b: number) => Object.is(a, b) || Math.abs(a - b) <= 1e-4 * (1 + Math.abs(a));

function floatsOf(datatype: string, data: TensorData['data']): Float32Array | Float64Array | undefined {
  const size = elementBytes(datatype);
  if (size === undefined || size === 0 || !datatype.startsWith('FP') || datatype === 'FP16') return undefined;
  const { buffer, byteOffset, byteLength } = data.byteOffset % size === 0 ? data : new Uint8Array(data);
  const count = byteLength / size;
  return datatype === 'FP64'
    ? new Float64Array(buffer, byteOffset, count)
    : new Float32Array(buffer, byteOffset, count);
}
