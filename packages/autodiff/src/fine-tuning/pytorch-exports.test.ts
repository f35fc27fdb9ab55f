import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { inferenceModel } from '../inference-model.js';
import { numbers, runnable } from '../run-for-tests.js';
import type { Feeds } from '../run-for-tests.js';
import { trainOn } from '../train-for-tests.js';
import { trainingStep } from '../training-step.js';
import { fineTune } from './fine-tune.js';
import type { FineTuning } from './fine-tune.js';
import { weightsOf } from './freeze.js';

/** A Python that has torch and onnx: MILL_TEST_PYTHON, or the one on PATH. */
const python = process.env['MILL_TEST_PYTHON'] ?? 'python3';
const hasTorch = spawnSync(python, ['-c', 'import torch, onnx']).status === 0;
const exporter = fileURLToPath(new URL('../../../../bench/peers/export_models.py', import.meta.url));

interface Split {
  readonly features: readonly number[];
  readonly targets: readonly number[];
}

interface Peer {
  readonly shape: readonly number[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly train: Split;
  readonly test: Split;
}

const random = (stream: number, count: number) => numbers(count, { low: 0, high: 1, seed: stream + 1 });

(hasTorch ? describe : describe.skip)(`PyTorch exports${hasTorch ? '' : ' (skipped: needs torch and onnx)'}`, () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mill-peers-'));
    const { status, stderr } = spawnSync(python, [exporter, folder], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const open = (name: string) => ({
    base: readOnnx(readFileSync(join(folder, `${name}.onnx`))),
    peer: JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Peer,
  });
  const featuresOf = ({ graph }: Model, values: readonly number[], shape: readonly number[]): Feeds[string] => ({
    dims: [values.length / shape.reduce((a, b) => a * b), ...shape],
    data: graph.inputs[0]!.dataType === 'float' ? Float32Array.from(values) : BigInt64Array.from(values, BigInt),
  });

  /** Share of right answers of the served graph. */
  async function accuracyOf(model: Model, { features, targets }: Split, shape: readonly number[]): Promise<number> {
    const output = (await (await runnable(model))({ input: featuresOf(model, features, shape) }))['output']!;
    const classes = output.length / targets.length;
    const right = targets.filter((target, row) => {
      const of = output.subarray(row * classes, (row + 1) * classes);
      return of.indexOf(Math.max(...of)) === target;
    });
    return right.length / targets.length;
  }

  /** Accuracy on rows that were not trained on, before and after. */
  async function learned(name: string, how: FineTuning, steps: number, learningRate: number) {
    const { base, peer } = open(name);
    const { shape, train, test } = peer;
    const tuned = fineTune(base, { ...how, exampleShape: shape, random });
    const targets = { dims: [train.targets.length], data: BigInt64Array.from(train.targets, BigInt) };
    const features = featuresOf(base, train.features, shape);
    const { weights } = await trainOn(tuned.forward, { features, targets, steps, learningRate });
    const served = (values: ReadonlyMap<string, Float32Array>) =>
      inferenceModel(tuned.plain, tuned.merged(values), { softmax: false });
    return {
      tuned,
      base,
      after: served(weights),
      accuracy: [
        await accuracyOf(served(new Map()), test, shape),
        await accuracyOf(served(weights), test, shape),
      ] as const,
    };
  }

  it.each(['resnet', 'encoder'])('answer alike in the form that is trained: %s', async (name) => {
    const { base, peer } = open(name);
    const { forward } = fineTune(base, { exampleShape: peer.shape, random });
    const features = featuresOf(base, peer.inputs, peer.shape);
    const [batchSize = 0] = features.dims;
    const step = trainingStep(forward, {
      batchSize,
      exampleShape: peer.shape,
      loss: { kind: 'cross_entropy' },
      optimizer: { kind: 'sgd', momentum: 0, nesterov: false },
    });
    const outputs = await (
      await runnable(step.model)
    )({
      [step.inputs.features]: features,
      [step.inputs.targets]: { dims: [batchSize], data: new BigInt64Array(batchSize) },
      [step.inputs.learningRate]: { dims: [], data: Float32Array.of(0) },
      ...Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])),
    });
    const logits = outputs[step.outputs.logits]!;
    expect(logits).toHaveLength(peer.outputs.length);
    peer.outputs.forEach((wanted, i) => expect(Math.abs(logits[i]! - wanted)).toBeLessThan(1e-4));
  });

  it('learn a task: a ResNet, all of it, and with statistics of batches', async () => {
    const all = await learned('resnet', {}, 40, 0.01);
    expect(all.accuracy[1]).toBeGreaterThan(0.9);
    expect(all.accuracy[1]).toBeGreaterThan(all.accuracy[0] + 0.3);
    const batches = await learned('resnet', { trainStatistics: true }, 40, 0.01);
    expect(batches.accuracy[1]).toBeGreaterThan(0.9);
  });

  it('learn a task behind a frozen stem and a new head', async () => {
    const head = {
      layers: [
        { kind: 'dense', units: 24, activation: 'relu' },
        { kind: 'dense', units: 4 },
      ] as const,
    };
    const { accuracy, after, base } = await learned('resnet', { head, freeze: ['/stem/*', '/norm/*'] }, 40, 0.01);
    expect(accuracy[1]).toBeGreaterThan(0.85);
    expect(after.graph.initializers.get('stem.weight')).toEqual(base.graph.initializers.get('stem.weight'));
  });

  it('learn a task by adapters of less than 2 % of the weights: an encoder of the BERT kind', async () => {
    const lora = { rank: 1, alpha: 2, targets: [] };
    const { accuracy, tuned, base, after } = await learned('encoder', { lora }, 60, 0.02);
    const { graph } = base;
    const all = weightsOf(graph).reduce(
      (sum, name) => sum + graph.initializers.get(name)!.dims.reduce((a, b) => a * b),
      0,
    );
    expect(tuned.parameters / all).toBeLessThan(0.02);
    expect(accuracy[1]).toBeGreaterThan(accuracy[0] + 0.25);
    expect(after.graph.nodes.filter(({ opType }) => opType === 'MatMul')).toHaveLength(16);
  });
});
