import { fileURLToPath } from 'node:url';
import { batches, readTable, splitRows } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import { writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { defaultSplits } from './examples.js';
import { cnn, featureModel } from './models-for-tests.js';

export const digitsFile = fileURLToPath(new URL('../../../examples/data/digits.csv.gz', import.meta.url));

export interface Digits {
  readonly table: Table;
  readonly train: Uint32Array;
  readonly test: Uint32Array;
}

export async function readDigits(): Promise<Digits> {
  const table = await readTable(digitsFile, { kind: 'csv', header: false, target: '' });
  return { table, ...splitRows(table.rows, defaultSplits) };
}

/** As it is, left edges, upper edges, blurred. */
const kernels = [
  [0, 0, 0, 0, 1, 0, 0, 0, 0],
  [-1, 0, 1, -1, 0, 1, -1, 0, 1].map((value) => value / 3),
  [-1, -1, -1, 0, 0, 0, 1, 1, 1].map((value) => value / 3),
  Array<number>(9).fill(1 / 9),
].flat();

/**
 * A classifier of digits without training: each class is the mean of its training rows behind a convolution with fixed
 * kernels, and the nearest mean wins. |x − m|² is −2 (x·m − |m|²/2) + |x|², so it is a matrix product.
 */
export async function nearestMeans({ table, train }: Digits): Promise<Model> {
  const kernelBias = new Float32Array(4);
  await using session = await openSession(writeOnnx(featureModel({ kernels, kernelBias })));
  const sums = Array.from({ length: 10 }, () => new Float64Array(256));
  const counts = new Float64Array(10);
  const options = { batchSize: train.length, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
  for (const { features, targets, size } of batches(table, train, options)) {
    const answer = await session.run({ input: { dims: [size, 64], data: features } });
    const found = answer['features']!.data as Float32Array;
    targets.forEach((target, row) => {
      counts[target]! += 1;
      sums[target]!.forEach((_, i) => (sums[target]![i]! += found[row * 256 + i]!));
    });
  }
  const means = sums.map((sum, digit) => sum.map((value) => value / counts[digit]!));
  const warmth = 0.02; // so that the probabilities are not all 0 or 1
  return cnn({
    kernels,
    kernelBias,
    matrix: Array.from({ length: 2560 }, (_, i) => warmth * means[i % 10]![Math.floor(i / 10)]!),
    bias: means.map((mean) => -0.5 * warmth * mean.reduce((total, value) => total + value * value, 0)),
  });
}

/** The accuracy of an ONNX file on the test rows, by ONNX Runtime in this process. */
export async function accuracyOf(file: Uint8Array, { table, test }: Digits): Promise<number> {
  await using session = await openSession(file);
  let right = 0;
  const options = { batchSize: 100, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
  for (const { features, targets, size } of batches(table, test, options)) {
    const answer = await session.run({ input: { dims: [size, 64], data: features } });
    const scores = answer['probabilities']!.data as Float32Array;
    targets.forEach((target, row) => {
      const of = scores.subarray(row * 10, row * 10 + 10);
      right += Number(of.indexOf(Math.max(...of)) === target);
    });
  }
  return right / test.length;
}
