import { readFile } from 'node:fs/promises';
import { batches } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import { cutFinalSoftmax, readOnnx, writeOnnx } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';

const chunk = 256;

/** A teacher's logits of some rows, each computed once: gives those of a batch, [size, classes]. */
export async function askTeacher(
  path: string,
  table: Table,
  rows: Uint32Array,
  threads: number,
): Promise<(batch: Uint32Array) => Float32Array> {
  const model = readOnnx(await readFile(path));
  const output = cutFinalSoftmax(model);
  model.graph.valueInfo = [];
  await using session = await openSession(writeOnnx(model), threads === 0 ? {} : { threads });
  const [input] = session.inputs;
  const exampleShape = input?.shape.slice(1).every((size) => size > 0) ? input.shape.slice(1) : table.featureShape;
  const classes = table.classes?.length ?? 0;
  const logits = new Float32Array(table.rows * classes);
  const order = { batchSize: chunk, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
  for (const batch of batches(table, rows, order)) {
    const x = { dims: [batch.size, ...exampleShape], data: batch.features };
    const answers = await session.run({ [input?.name ?? '']: x }, [output]);
    const given = answers[output]?.data as Float32Array;
    batch.rows.forEach((row, i) => logits.set(given.subarray(i * classes, (i + 1) * classes), row * classes));
  }
  return (batch) => {
    const some = new Float32Array(batch.length * classes);
    batch.forEach((row, i) => some.set(logits.subarray(row * classes, (row + 1) * classes), i * classes));
    return some;
  };
}
