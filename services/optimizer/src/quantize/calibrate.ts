import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Table } from '@modelmill/data';
import { ShapeError, cloneModel, elementCount, inferShapes, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { startRunner } from '@modelmill/runtime';
import type { Classifier } from '../classifier.js';
import { examplesOf, numbersOf } from '../evaluate.js';
import { createRanges } from './quantization-ranges.js';
import type { CalibrationMethod } from './quantization-ranges.js';

export interface WatchOptions {
  readonly classifier: Classifier;
  readonly table: Table;
  /** The examples to look at. */
  readonly rows: Uint32Array;
  readonly signal: AbortSignal;
  /** Told after every batch, from 0 to 1. */
  onProgress(done: number): Promise<void>;
}

export interface CalibrationOptions extends WatchOptions {
  readonly method: CalibrationMethod;
}

/** Shown each named tensor's values for so many examples at a time. */
export type See = (
  name: string,
  values: Float32Array,
  examples: number,
  shape: readonly number[],
) => Promise<void> | void;

const mostRows = 64;
const mostBytes = 64 * 2 ** 20;

/** The ranges that the named tensors take over the examples. Memory does not grow with their number. */
export async function calibrate(model: Model, tensors: readonly string[], options: CalibrationOptions) {
  const { method } = options;
  const ranges = createRanges(method);
  const rounds = method === 'entropy' || method === 'mse' ? 2 : 1;
  let round = 0;
  do {
    const onProgress = (done: number) => options.onProgress(Math.min(1, (round + done) / rounds));
    await watchTensors(model, tensors, { ...options, onProgress }, ranges.add);
  } while (ranges.again() && ++round);
  return ranges.finish();
}

/** Runs a model over the examples and shows the values of named tensors, batch by batch. */
export async function watchTensors(
  model: Model,
  tensors: readonly string[],
  { classifier, table, rows, signal, onProgress }: WatchOptions,
  see: See,
): Promise<void> {
  const { probe, watched } = withOutputs(model, tensors);
  const chunk = rowsAtOnce(model, tensors, classifier);
  const folder = await mkdtemp(join(tmpdir(), 'mill-calibration-'));
  try {
    const path = join(folder, 'probe.onnx');
    await writeFile(path, writeOnnx(probe));
    await using runner = await startRunner({ providers: ['cpu'], requestTimeoutMs: 120_000 });
    await runner.load('probe', path);
    for (let start = 0; start < rows.length; start += chunk) {
      const some = rows.subarray(start, start + chunk);
      const examples = examplesOf(table, some, classifier);
      if (tensors.includes(classifier.input)) {
        await see(classifier.input, numbersOf(examples), some.length, examples.shape);
      }
      if (watched.length > 0) {
        const { outputs } = await runner.run('probe', new Map([[classifier.input, examples]]), watched, signal);
        for (const name of watched) {
          const value = outputs.get(name)!;
          await see(name, numbersOf(value), some.length, value.shape);
        }
      }
      await onProgress(Math.min(1, (start + chunk) / rows.length));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The model with tensors of its inside as outputs; inputs are known without. */
function withOutputs(model: Model, tensors: readonly string[]): { probe: Model; watched: string[] } {
  const probe = cloneModel(model);
  const { graph } = probe;
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const watched = tensors.filter((name) => !inputs.has(name));
  const known = new Set(graph.outputs.map(({ name }) => name));
  for (const name of watched) {
    if (!known.has(name)) graph.outputs.push({ name, dataType: 'float', shape: undefined });
  }
  return { probe, watched };
}

/** As many examples as keep all watched tensors together within bounds. */
function rowsAtOnce(model: Model, tensors: readonly string[], { input, exampleShape }: Classifier): number {
  try {
    const types = inferShapes(model, new Map([[input, [1, ...exampleShape]]]));
    const perRow = tensors.reduce((bytes, name) => bytes + 4 * elementCount(types.get(name)?.shape ?? []), 0);
    return Math.max(1, Math.min(mostRows, Math.floor(mostBytes / Math.max(1, perRow))));
  } catch (error) {
    if (error instanceof ShapeError) return 1; // nothing is known of its size
    throw error;
  }
}
