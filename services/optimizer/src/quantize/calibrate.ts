import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { calibrationRows } from '@modelmill/data';
import { ShapeError, attribute, cloneModel, elementCount, inferShapes, makeNode, uniqueName } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { TensorData } from '@modelmill/runtime';
import type { Binding } from '../binding.js';
import { writeModel } from '../model-files.js';
import { numbersOf } from '../evaluate.js';
import type { Examples } from '../examples.js';
import { examplesInRun } from '../examples-in-run.js';
import { startOwnRunner, weightBytesOf } from '../own-runner.js';
import type { PassContext } from '../pass-context.js';
import { createRanges } from './quantization-ranges.js';
import type { CalibrationMethod } from './quantization-ranges.js';

export interface WatchOptions {
  readonly binding: Binding;
  readonly examples: Pick<Examples, 'inputs'>;
  /** The ids of those to look at. */
  readonly some: Uint32Array;
  readonly signal: AbortSignal;
  /** Told after every batch: how much is done, from 0 to 1, and which it was of how many. */
  onProgress(done: number, batch: number, batches: number): Promise<void>;
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

/** So many examples of a plan's training part, drawn by its seed, for a pass to watch a model on. */
export const calibrationOn = (
  model: Model,
  samples: number,
  { examples, plan, signal, bindingOf, onProgress }: PassContext,
): WatchOptions => ({
  binding: bindingOf(model),
  examples,
  some: calibrationRows(examples.train, samples, plan.seed),
  signal,
  onProgress: (done, batch, batches) => onProgress(`calibrating (batch ${batch} of ${batches})`, done),
});

const mostExamples = 64;
const mostBytes = 64 * 2 ** 20;

/** The ranges that the named tensors take over the examples. Memory does not grow with their number. */
export async function calibrate(model: Model, tensors: readonly string[], options: CalibrationOptions) {
  const { method } = options;
  const ranges = createRanges(method);
  const rounds = method === 'entropy' || method === 'mse' ? 2 : 1;
  let round = 0;
  do {
    const onProgress: WatchOptions['onProgress'] = (done, batch, batches) =>
      options.onProgress((round + done) / rounds, round * batches + batch, rounds * batches);
    const extremesDo = method === 'minmax' || (rounds === 2 && round === 0);
    const watch = extremesDo ? watchExtremes : watchTensors;
    await watch(model, tensors, { ...options, onProgress }, ranges.add);
  } while (ranges.again() && ++round);
  return ranges.finish();
}

/** Runs a model over the examples and shows the values of named tensors, batch by batch. */
export async function watchTensors(model: Model, tensors: readonly string[], options: WatchOptions, see: See) {
  const { binding } = options;
  const { probe, watched } = withOutputs(model, tensors);
  const run = { probe, watched, atOnce: examplesAtOnce(model, tensors, binding) };
  await runProbe(run, options, async (inputs, outputs, examples) => {
    if (tensors.includes(binding.input)) await see(binding.input, numbersOf(inputs), examples, inputs.shape);
    for (const name of watched) {
      const value = outputs.get(name)!;
      await see(name, numbersOf(value), examples, value.shape);
    }
  });
}

/** As `watchTensors`, but shows no more than the extremes, and NaN where that is among the values. */
async function watchExtremes(model: Model, tensors: readonly string[], options: WatchOptions, see: See) {
  const { probe, extremes } = withExtremes(model, tensors);
  const watched = [...extremes.values()].flat();
  await runProbe(
    { probe, watched, atOnce: examplesAtOnce(model, tensors, options.binding) },
    options,
    async (_, outputs, examples) => {
      for (const [name, parts] of extremes) {
        const [least, greatest, magnitudes] = parts.map((part) => numbersOf(outputs.get(part)!)[0]!);
        const values = Float32Array.of(least!, greatest!, ...(Number.isNaN(magnitudes) ? [NaN] : []));
        await see(name, values, examples, [values.length]);
      }
    },
  );
}

interface ProbeRun {
  readonly probe: Model;
  /** Its outputs that are wanted. */
  readonly watched: readonly string[];
  readonly atOnce: number;
}

type Tensors = ReadonlyMap<string, TensorData>;

async function runProbe(
  { probe, watched, atOnce }: ProbeRun,
  { binding, examples, some, signal, onProgress }: WatchOptions,
  see: (inputs: TensorData, outputs: Tensors, examples: number) => Promise<void>,
): Promise<void> {
  const batches = Math.ceil(some.length / atOnce);
  const folder = await mkdtemp(join(tmpdir(), 'mill-calibration-'));
  try {
    const path = join(folder, 'probe.onnx');
    await writeModel(path, probe);
    const threads = availableParallelism();
    await using runner = await startOwnRunner(weightBytesOf(probe), threads);
    // fused operators round in another way: ranges are to the bit those of ONNX Runtime's own calibration
    await runner.load('probe', path, { graphOptimization: 'disabled' });
    for (let start = 0; start < some.length; start += atOnce) {
      const batch = some.subarray(start, start + atOnce);
      const inputs = examples.inputs(batch, binding.exampleShape);
      const { outputs } =
        watched.length > 0
          ? await runner.run('probe', new Map([[binding.input, inputs]]), watched, signal)
          : { outputs: new Map<string, TensorData>() };
      await see(inputs, outputs, batch.length);
      const done = 1 + start / atOnce;
      await onProgress(done / batches, done, batches);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A model that gives the least and the greatest value of each tensor, and the sum of the magnitudes, which NaN is in. */
export function withExtremes(model: Model, tensors: readonly string[]) {
  const probe = cloneModel(model);
  const { graph } = probe;
  const extremes = new Map<string, readonly string[]>();
  for (const tensor of tensors) {
    const parts = ['ReduceMin', 'ReduceMax', 'ReduceL1'].map((opType) => {
      const output = uniqueName(graph, `${tensor}_${opType}`);
      graph.nodes.push(makeNode(opType, [tensor], [output], { keepdims: attribute(0) }));
      graph.outputs.push({ name: output, dataType: 'float', shape: [] });
      return output;
    });
    extremes.set(tensor, parts);
  }
  return { probe, extremes };
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
function examplesAtOnce(model: Model, tensors: readonly string[], { input, exampleShape }: Binding): number {
  try {
    const types = inferShapes(model, new Map([[input, [1, ...exampleShape]]]));
    const perExample = tensors.reduce((bytes, name) => bytes + 4 * elementCount(types.get(name)?.shape ?? []), 0);
    return examplesInRun(model, Math.max(1, Math.min(mostExamples, Math.floor(mostBytes / Math.max(1, perExample)))));
  } catch (error) {
    if (error instanceof ShapeError) return 1; // nothing is known of its size
    throw error;
  }
}
