import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { floatsOf, onnxPieces } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { Runner, TensorData } from '@modelmill/runtime';
import type { Binding } from '../binding.js';
import { evaluate } from '../evaluate.js';
import type { Examples } from '../examples.js';
import { examplesInRun } from '../examples-in-run.js';
import { dropOf, gateMetric } from '../gate.js';
import type { GateMetric } from '../gate.js';
import { startOwnRunner, weightBytesOf } from '../own-runner.js';
import { calibrate } from '../quantize/calibrate.js';
import { quantizableLayers, quantizedTensors } from '../quantize/quantize-static.js';
import { percentile } from '../speed.js';
import { formSource, inForm } from './forms.js';
import type { Form, FormSource } from './forms.js';
import { kernelTimes, layerTimes } from './kernel-times.js';

/** What answers become in a form. */
export interface FormFigures {
  readonly form: Form;
  /** As `max_drop` counts it. */
  readonly drop: number;
  readonly lossRise: number;
  readonly sqnrDb: number;
}

/** Every layer in a form at once. */
export interface ModelFormFigures extends FormFigures {
  readonly p50Ms: number;
  readonly sizeBytes: number;
}

/** A layer alone. */
export interface LayerFigures {
  readonly name: string;
  readonly forms: readonly FormFigures[];
  readonly floatMs: number;
  readonly int8Ms: number;
}

export interface Measured {
  /** How many examples. */
  readonly rows: number;
  readonly metric: GateMetric;
  readonly floats: {
    readonly value: number;
    readonly loss: number;
    readonly p50Ms: number;
    readonly kernelsMs: number;
  };
  /** Of the model in static int8; 0 where no layer can be. */
  readonly int8KernelsMs: number;
  readonly layers: readonly LayerFigures[];
  readonly forms: readonly ModelFormFigures[];
  /** Forms of single layers that there was no time for. */
  readonly unmeasured: number;
  readonly cpu: string;
  /** Root mean square of the weights of convolutions and products. */
  readonly weightSize: number;
}

export interface MeasureOptions {
  readonly binding: Binding;
  readonly examples: Examples;
  /** The training examples to look at. */
  readonly some: Uint32Array;
  readonly signal: AbortSignal;
  /** No other form of a layer is begun after it. */
  readonly budgetMs: number;
  readonly modelForms: readonly Form[];
  readonly layerForms: readonly Form[];
}

const threads = 1;
const latencyMs = 600;
const sameAnswers = 200;

/** Gives forms to layers and measures, in a runner of its own, what the answers become and what time they take. */
export async function measureForms(parent: Model, options: MeasureOptions): Promise<Measured> {
  const { binding, examples, some, signal } = options;
  const { kind } = examples.task;
  const paced = { ...options, examples: { ...examples, atOnce: examplesInRun(parent, examples.atOnce) } };
  const endsAt = performance.now() + options.budgetMs;
  const source = formSource(parent);
  const watching = { binding, examples, some, signal, onProgress: async () => {} };
  const tensors = quantizedTensors(source.model);
  const ranges = tensors.length > 0 ? await calibrate(source.model, tensors, { ...watching, method: 'minmax' }) : null;

  // the model itself, named for its profile, its other forms, and one layer's at a time
  const held = options.modelForms.length + 3;
  await using runner = await startOwnRunner(held * weightBytesOf(parent), threads);
  const folder = await mkdtemp(join(tmpdir(), 'mill-analysis-'));
  const pathOf = (id: string) => join(folder, `${id}.onnx`);
  try {
    const load = async (id: string, model: Model) => {
      await writeFile(pathOf(id), onnxPieces(model));
      await runner.load(id, pathOf(id));
      return (await stat(pathOf(id))).size;
    };
    await load('floats', parent);
    const floats = await answers(runner, 'floats', paced);
    const compared = async (form: Form, id: string): Promise<FormFigures> => {
      const got = await answers(runner, id, paced);
      return {
        form,
        drop: dropOf(kind, floats.metrics, got.metrics),
        lossRise: got.metrics.loss - floats.metrics.loss,
        sqnrDb: sqnr(floats.answers, got.answers),
      };
    };

    const whole: { figures: FormFigures; sizeBytes: number }[] = [];
    for (const form of options.modelForms) {
      const model = await inForm(source, form, ranges ?? new Map());
      if (!model) continue;
      const sizeBytes = await load(form, model);
      whole.push({ figures: await compared(form, form), sizeBytes });
      signal.throwIfAborted();
    }
    const ids = ['floats', ...whole.map(({ figures }) => figures.form)];
    const example = new Map([[binding.input, examples.inputs(some.subarray(0, 1), binding.exampleShape)]]);
    const medians = await latencies(runner, ids, example);
    signal.throwIfAborted();
    const rounds = Math.min(200, Math.max(20, Math.round(latencyMs / medians[0]!)));
    const profile = (id: string) => kernelTimes(runner, pathOf(id), example, rounds);
    await load('named', source.model);
    const kernels = await profile('named');
    const int8Kernels = ids.includes('int8') ? await profile('int8') : [];
    for (const id of ids.slice(1)) await runner.unload(id);
    const [floatTimes, int8Times] = [kernels, int8Kernels].map((times) =>
      layerTimes(source.model, source.layers, times),
    );

    const forms = new Map(source.layers.map(({ name }) => [name, [] as FormFigures[]]));
    let unmeasured = 0;
    for (const form of options.layerForms) {
      for (const layer of source.layers) {
        signal.throwIfAborted();
        if (performance.now() > endsAt) {
          unmeasured++;
          continue;
        }
        const model = await inForm(source, form, ranges ?? new Map(), layer);
        if (!model) continue;
        await load('alone', model);
        forms.get(layer.name)!.push(await compared(form, 'alone'));
      }
    }
    return {
      rows: some.length,
      metric: gateMetric(kind),
      floats: {
        value: floats.metrics[gateMetric(kind)] ?? 0,
        loss: floats.metrics.loss,
        p50Ms: medians[0]!,
        kernelsMs: total(kernels),
      },
      int8KernelsMs: total(int8Kernels),
      layers: source.layers.map(({ name }) => ({
        name,
        forms: forms.get(name)!,
        floatMs: floatTimes!.get(name) ?? 0,
        int8Ms: int8Times!.get(name) ?? 0,
      })),
      forms: whole.map(({ figures, sizeBytes }, i) => ({ ...figures, sizeBytes, p50Ms: medians[i + 1]! })),
      unmeasured,
      cpu: cpus()[0]?.model.trim() ?? 'an unknown CPU',
      weightSize: weightSize(source),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const total = (times: readonly { readonly ms: number }[]) => times.reduce((sum, { ms }) => sum + ms, 0);

async function answers(runner: Runner, id: string, { binding, examples, some, signal }: MeasureOptions) {
  const shown: Float32Array[] = [];
  const sample = { ...examples, heldOut: some };
  const metrics = await evaluate(runner, { id, name: id, binding }, sample, signal, (one) => shown.push(one));
  return { metrics, answers: shown };
}

function weightSize({ model }: FormSource): number {
  let [squares, count] = [0, 0];
  for (const weights of new Set(quantizableLayers(model).map((layer) => layer.weights))) {
    const values = floatsOf(weights);
    squares += values.reduce((sum, value) => sum + value * value, 0);
    count += values.length;
  }
  return count === 0 ? 0 : Math.sqrt(squares / count);
}

/** Median milliseconds of one example, all in alternation. */
async function latencies(runner: Runner, ids: readonly string[], inputs: ReadonlyMap<string, TensorData>) {
  const cases = ids.map((id) => ({ id, inputs }));
  const first = await runner.measure(cases, { rounds: 5, warmup: 5 });
  const roundMs = first.reduce((sum, times) => sum + percentile(times, 0.5), 0);
  const rounds = Math.round(Math.min(2000, Math.max(15, (latencyMs * ids.length) / 2 / roundMs)));
  return (await runner.measure(cases, { rounds, warmup: Math.ceil(rounds / 10) })).map((times) =>
    percentile(times, 0.5),
  );
}

/** 10·log10(Σy² / Σ(y − ŷ)²) */
export function sqnr(wanted: readonly Float32Array[], got: readonly Float32Array[]): number {
  let [signal, noise] = [0, 0];
  wanted.forEach((values, i) =>
    values.forEach((value, j) => {
      signal += value * value;
      noise += (value - got[i]![j]!) ** 2;
    }),
  );
  return noise === 0 ? sameAnswers : Math.min(sameAnswers, 10 * Math.log10(signal / noise));
}
