import { rowsOf } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import type { Runner, TensorData } from '@modelmill/runtime';
import type { Classifier } from './classifier.js';

/** What a model gets right on some rows. */
export interface Evaluation {
  readonly accuracy: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
}

const chunk = 256;

/** Features of the rows as one FP32 tensor [rows, …example]. */
export function examplesOf(table: Table, rows: Uint32Array, { exampleShape }: Classifier): TensorData {
  return tensorOf(rowsOf(table, rows).features, [rows.length, ...exampleShape]);
}

const tensorOf = (features: Float32Array, shape: number[]): TensorData => ({
  datatype: 'FP32',
  shape,
  data: new Uint8Array(features.buffer),
});

/** The numbers of an FP32 tensor, copied: its bytes may lie anywhere in a larger buffer. */
export const numbersOf = ({ data }: TensorData) => new Float32Array(Uint8Array.from(data).buffer);

/** Runs the rows through a loaded classifier whose output is probabilities or logits [rows, classes]. */
export async function evaluate(
  runner: Pick<Runner, 'run'>,
  id: string,
  classifier: Classifier,
  table: Table,
  rows: Uint32Array,
  signal: AbortSignal,
): Promise<Evaluation> {
  let right = 0;
  let loss = 0;
  for (let start = 0; start < rows.length; start += chunk) {
    const some = rows.subarray(start, start + chunk);
    const { features, targets } = rowsOf(table, some);
    const inputs = new Map([[classifier.input, tensorOf(features, [some.length, ...classifier.exampleShape])]]);
    const { outputs } = await runner.run(id, inputs, [classifier.output], signal);
    const scores = numbersOf(outputs.get(classifier.output)!);
    const classes = scores.length / some.length;
    targets.forEach((target, i) => {
      const of = scores.subarray(i * classes, (i + 1) * classes);
      right += Number(of.indexOf(Math.max(...of)) === target);
      // the smallest float32 above 0: a probability that underflowed costs much, not everything
      loss -= Math.log(Math.max(probability(of, target), 1.2e-38));
    });
  }
  return { accuracy: right / rows.length, loss: loss / rows.length };
}

/** What is not a distribution already is taken for logits. */
function probability(scores: Float32Array, target: number): number {
  const total = scores.reduce((sum, score) => sum + score, 0);
  if (Math.abs(total - 1) < 1e-2 && scores.every((score) => score >= 0)) return scores[target]!;
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  return exponentials[target]! / exponentials.reduce((sum, e) => sum + e, 0);
}
