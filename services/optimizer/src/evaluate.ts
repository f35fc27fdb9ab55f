import { evaluateClasses, evaluateNumbers, everyMetric } from '@modelmill/data';
import type { Evaluation } from '@modelmill/data';
import type { Runner, TensorData } from '@modelmill/runtime';
import { JobFailedError } from '@modelmill/store';
import type { Binding } from './binding.js';
import type { Examples } from './examples.js';
import { floatOfHalf, halfBits } from './pack/half.js';
import type { Task } from './task.js';

/** What a task is measured by; of each task those that say something of it. */
export interface Metrics {
  /** Mean cross-entropy, nats; of numbers the mean squared error. */
  readonly loss: number;
  readonly accuracy?: number;
  readonly top_5?: number;
  readonly precision?: number;
  readonly recall?: number;
  readonly f1?: number;
  readonly auc?: number;
  readonly perplexity?: number;
  readonly mae?: number;
  readonly rmse?: number;
  readonly r2?: number;
}

/** The numbers of an FP32 or FP16 tensor, copied: its bytes may lie anywhere in a larger buffer. */
export function numbersOf({ data, datatype }: TensorData): Float32Array {
  const { buffer } = Uint8Array.from(data);
  return datatype === 'FP16' ? Float32Array.from(new Uint16Array(buffer), floatOfHalf) : new Float32Array(buffer);
}

/** Examples as a model takes them. */
export function inputsOf(examples: Examples, some: Uint32Array, { exampleShape, takesHalves }: Binding): TensorData {
  const floats = examples.inputs(some, exampleShape);
  if (!takesHalves) return floats;
  const halves = Uint16Array.from(numbersOf(floats), halfBits);
  return { ...floats, datatype: 'FP16', data: new Uint8Array(halves.buffer) };
}

/** A model in a runner. */
export interface Evaluated {
  readonly id: string;
  /** As a message names it, such as `version 3`. */
  readonly name: string;
  readonly binding: Binding;
}

/**
 * Every metric of a loaded model on the held-out examples; one that has no value there is left out. Throws
 * JobFailedError with the tensor and the example where an answer is no number. Shows the answers as they come.
 */
export async function evaluate(
  runner: Pick<Runner, 'run'>,
  { id, name, binding }: Evaluated,
  examples: Examples,
  signal: AbortSignal,
  see: (answers: Float32Array) => void = () => {},
): Promise<Metrics> {
  const { task, heldOut, atOnce } = examples;
  const evaluation = evaluationOf(task, heldOut.length);
  for (let start = 0; start < heldOut.length; start += atOnce) {
    const some = heldOut.subarray(start, start + atOnce);
    const inputs = new Map([[binding.input, inputsOf(examples, some, binding)]]);
    const { outputs } = await runner.run(id, inputs, [binding.output], signal);
    const answers = numbersOf(outputs.get(binding.output)!);
    const odd = answers.findIndex((answer) => !Number.isFinite(answer));
    if (odd >= 0) {
      const example = some[Math.floor((odd * some.length) / answers.length)]!;
      throw noNumber(name, binding.output, answers[odd]!, where(task, example));
    }
    see(answers.slice());
    const targets = examples.targets(some);
    evaluation.add(task.kind === 'numbers' ? answers : probabilities(answers, targets.length), targets, targets.length);
  }
  const { loss = 0, ...rest } = evaluation.figures();
  return { loss, ...Object.fromEntries(Object.entries(rest).filter(([, value]) => Number.isFinite(value))) };
}

function evaluationOf(task: Task, examples: number): Evaluation {
  switch (task.kind) {
    case 'classes':
      return evaluateClasses(task.classes, everyMetric(task.classes, false, examples));
    case 'text': {
      const { size } = task.tokenizer;
      return evaluateClasses(size, everyMetric(size, true, examples * task.context));
    }
    case 'numbers':
      return evaluateNumbers(everyMetric(0, false, examples));
  }
}

/** So many rows of scores; a row that is no distribution is taken for logits. */
function probabilities(scores: Float32Array, rows: number): Float32Array {
  const width = scores.length / rows;
  for (let at = 0; at < scores.length; at += width) {
    const row = scores.subarray(at, at + width);
    if (!isDistribution(row)) toProbabilities(row);
  }
  return scores;
}

const isDistribution = (row: Float32Array) =>
  Math.abs(row.reduce((sum, score) => sum + score, 0) - 1) < 1e-2 && row.every((score) => score >= 0);

function toProbabilities(row: Float32Array): void {
  const largest = row.reduce((most, score) => Math.max(most, score), -Infinity);
  row.forEach((score, i) => (row[i] = Math.exp(score - largest)));
  const total = row.reduce((sum, e) => sum + e, 0);
  row.forEach((e, i) => (row[i] = e / total));
}

/** An example as a message names it. */
const where = ({ kind, dataset }: Task, example: number) =>
  kind === 'text' ? `the window at token ${example} of '${dataset}'` : `row ${example + 1} of '${dataset}'`;

const noNumber = (name: string, output: string, got: number, at: string) =>
  new JobFailedError(`'${output}' of ${name} is ${got} for ${at}, wants numbers`);
