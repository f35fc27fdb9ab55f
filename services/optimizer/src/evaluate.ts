import type { Table } from '@modelmill/data';
import type { Runner } from '@modelmill/runtime';

/** What a model gets right on some rows. */
export interface Evaluation {
  readonly accuracy: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
}

export interface Case {
  /** As loaded in the runner. */
  readonly id: string;
  readonly input: string;
  readonly output: string;
  /** Sizes of one example as the model takes it. */
  readonly exampleShape: readonly number[];
}

const chunk = 256;

/** Features of the rows as one FP32 tensor [rows, …example]. */
export function inputOf(table: Table, rows: Uint32Array, { exampleShape }: Case) {
  const width = table.featureShape.reduce((product, size) => product * size, 1);
  const features = new Float32Array(rows.length * width);
  rows.forEach((row, i) => features.set(table.features.subarray(row * width, (row + 1) * width), i * width));
  return {
    datatype: 'FP32',
    shape: [rows.length, ...exampleShape],
    data: new Uint8Array(features.buffer),
  };
}

/** Runs the rows through a loaded classifier whose output is probabilities or logits [rows, classes]. */
export async function evaluate(
  runner: Runner,
  model: Case,
  table: Table,
  rows: Uint32Array,
  signal: AbortSignal,
): Promise<Evaluation> {
  let right = 0;
  let loss = 0;
  for (let start = 0; start < rows.length; start += chunk) {
    const some = rows.subarray(start, start + chunk);
    const inputs = new Map([[model.input, inputOf(table, some, model)]]);
    const { outputs } = await runner.run(model.id, inputs, [model.output], signal);
    const { data } = outputs.get(model.output)!;
    const scores = new Float32Array(data.slice().buffer);
    const classes = scores.length / some.length;
    some.forEach((row, i) => {
      const of = scores.subarray(i * classes, (i + 1) * classes);
      const best = of.indexOf(Math.max(...of));
      const target = table.targets[row]!;
      right += Number(best === target);
      loss -= Math.log(Math.max(probability(of, target), 1.2e-38));
    });
  }
  return { accuracy: right / rows.length, loss: loss / rows.length };
}

/** What is not a distribution already is taken for logits. */
function probability(scores: Float32Array, target: number): number {
  const sum = scores.reduce((total, score) => total + score, 0);
  if (Math.abs(sum - 1) < 1e-2 && scores.every((score) => score >= 0)) return scores[target]!;
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  return exponentials[target]! / exponentials.reduce((total, e) => total + e, 0);
}

/** The value below which a share of the sorted times lies: nearest rank. */
export function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}
