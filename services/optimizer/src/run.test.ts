import { createReadStream } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { parseOptimizationSpec } from '@modelmill/client';
import { datasets } from '@modelmill/contracts';
import type { jobs, registry, trainer, optimizer } from '@modelmill/contracts';
import { checkAdmission, floatTensor, int64Tensor, makeNode, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import type { JobResult } from '@modelmill/store';
import { registrySignature } from './binding.js';
import { accuracyOf, digitsFile, nearestMeans, readDigits } from './digits-for-tests.js';
import type { Digits } from './digits-for-tests.js';
import { defaultSplits } from './examples.js';
import { modelOf, someCnn } from './models-for-tests.js';
import type { Report } from './report.js';
import { speedMetrics } from './speed.js';
import { startOptimizer } from './start-for-tests.js';
import type { Optimizing } from './start-for-tests.js';
import { startTrainer } from './trainer-for-tests.js';
import { weightFigures } from './weighted-layers.js';

jest.setTimeout(180_000);

/** About what the lineage takes in a file. */
const lineageBytes = 500;
const quantize = { quantize_static: {} };
const prune = (sparsity: number, more: object = {}) => ({ prune_magnitude: { sparsity, ...more } });
const distill = { distill: { student: [{ dense: { units: 10 } }] } };
const specOf = (model: string, fields: object = {}) =>
  parseOptimizationSpec({ model, version: '1', data: { dataset: 'digits' }, passes: [quantize], ...fields });

async function addDigits({ store }: Optimizing, digits: Digits): Promise<void> {
  const { sha256, size } = await store.artifacts.put(createReadStream(digitsFile));
  await store.datasets.add(
    datasets.DatasetVersion.fromPartial({
      dataset: 'digits',
      artifactSha256: sha256,
      sizeBytes: BigInt(size),
      rows: BigInt(digits.table.rows),
      format: { $case: 'csv', csv: { header: false, target: '' } },
      schema: { featureShape: [64n], target: 'c64', classes: digits.table.classes! },
      splits: defaultSplits,
    }),
  );
}

async function register({ store }: Optimizing, model: string, graph: Model): Promise<registry.Version> {
  const artifact = await store.artifacts.put(writeOnnx(graph));
  const lineage = { method: 'trained', parentVersion: '', jobId: '', dataset: 'digits', datasetVersion: '1' };
  const signature = registrySignature(graph);
  return store.registry.registerVersion({ model, artifact, signature, lineage, metrics: { parameters: 1 } });
}

type State = NonNullable<jobs.JobStatus['state']>;

/** The states of a job until it has ended. */
async function followed({ mill }: Optimizing, jobId: string): Promise<State[]> {
  const states: State[] = [];
  for await (const { status: jobStatus } of mill.optimizer.watch(jobId)) states.push(jobStatus!.state!);
  return states;
}

async function succeeded(mesh: Optimizing, jobId: string): Promise<jobs.JobSucceeded> {
  const last = (await followed(mesh, jobId)).at(-1);
  if (last?.$case !== 'succeeded') throw new Error(`the job ended as ${JSON.stringify(last)}`);
  return last.succeeded;
}

const stages = (states: readonly State[]) => [
  ...new Set(states.flatMap((state) => (state.$case === 'running' ? state.running.stage : []))),
];

/** A trainer whose training changes nothing. */
const baseAsItIs = async (_claim: unknown, { base }: trainer.TrainingSpec): Promise<JobResult> => {
  if (base?.source?.$case !== 'artifactSha256') throw new Error('wanted an artifact to go on from');
  return { version: '', artifactSha256: base.source.artifactSha256, metrics: {} };
};

const reportOf = async ({ store }: Optimizing, { reportSha256 }: registry.Version) =>
  JSON.parse(Buffer.from(await store.artifacts.read(reportSha256)).toString()) as { report: Report; markdown: string };

/** A product of what some nodes make of the input, under the name `prepared`. */
function ofOpset(opset: number, nodes: Node[]): Model {
  const [last] = nodes.length > 0 ? ['prepared'] : ['input'];
  const model = modelOf(
    [64],
    [...nodes, makeNode('MatMul', [last!, 'matrix'], ['y'])],
    [
      floatTensor('matrix', [64, 10], new Float32Array(640).fill(0.1)),
      floatTensor('ones', [2], [1, 1]),
      floatTensor('eight', [], [8.5]),
    ],
    [10],
  );
  model.opsets.set('', opset);
  return model;
}

describe('the optimizer service', () => {
  let mesh: Optimizing;
  let digits: Digits;
  let graph: Model;
  beforeAll(async () => {
    [mesh, digits] = await Promise.all([startOptimizer(), readDigits()]);
    graph = await nearestMeans(digits);
    await addDigits(mesh, digits);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());
  const submit = async (spec: optimizer.OptimizationSpec, jobId?: string) =>
    (await mesh.mill.optimizer.submit(spec, { jobId })).status!.jobId;

  it('quantizes a version, measures it beside its parent and registers it with lineage and report', async () => {
    const parent = await register(mesh, 'quantized', graph);
    const jobId = await submit(specOf('quantized'));
    const states = await followed(mesh, jobId);
    expect(stages(states)).toContain('preparing');
    const last = states.at(-1)!;
    expect(last).toMatchObject({ $case: 'succeeded', succeeded: { version: '2' } });

    const made = await mesh.store.registry.version('quantized', '2');
    expect(made.lineage).toEqual({
      method: 'quantized static int8',
      parentVersion: '1',
      jobId,
      dataset: 'digits',
      datasetVersion: '1',
    });
    const file = await mesh.store.artifacts.read(made.artifactSha256);
    const before = await accuracyOf(writeOnnx(graph), digits);
    expect(before).toBeGreaterThan(0.85);
    expect(made.metrics['accuracy']).toBe(await accuracyOf(file, digits));
    expect(made.metrics['accuracy']).toBeGreaterThan(before - 0.01);
    expect(made.metrics).toMatchObject({ size_bytes: file.byteLength, parameters: 2610 });
    expect(file.byteLength).toBeLessThan(Number(parent.sizeBytes) - 1.8 * 2596); // of 3 saved per weight, scales and the lineage take some
    expect(readOnnx(file).graph.initializers.get('matrix')).toBeUndefined();

    const { metrics } = await mesh.store.registry.version('quantized', '1');
    expect(metrics).toMatchObject({ accuracy: before, parameters: 1, size_bytes: Number(parent.sizeBytes) });
    for (const figures of [metrics, made.metrics]) {
      expect(figures['p50_ms']).toBeGreaterThan(0);
      expect(figures['p99_ms']).toBeGreaterThanOrEqual(figures['p50_ms']!);
      expect(figures['throughput']).toBeGreaterThan(0);
    }
    const { report, markdown } = await reportOf(mesh, made);
    expect(report).toMatchObject({
      job: jobId,
      parent: { version: '1', accuracy: before, p50_ms: metrics['p50_ms'] },
      dataset: { name: 'digits', version: '1', split: 'test', evaluated_rows: digits.test.length },
      engine: { provider: 'cpu', threads: 1, batch: 32, version: expect.stringMatching(/^onnxruntime \d/) as string },
      operators: { integer_products: 2, float_products: 0, quantize_dequantize: 1 },
      lineage: {
        parent_sha256: parent.artifactSha256,
        recipe_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      },
    });
    const { sha256, ...candidate } = report.candidate;
    expect(sha256).toBe(made.artifactSha256);
    expect(made.metrics).toEqual({ ...candidate, ...speedMetrics(report.speed) });
    expect(readOnnx(file).metadata.get('modelmill.recipe')).toBe(report.lineage.recipe_sha256);
    for (const figure of ['precision', 'recall', 'f1', 'auc', 'top_5', 'loss'])
      expect(candidate).toHaveProperty(figure);
    expect(markdown).toContain('# quantized: quantized static int8');
    expect(report.notes).toContain(
      'As ONNX Runtime runs it, 2 products compute in integers and 0 in floats; ' +
        '1 QuantizeLinear and DequantizeLinear are left over.',
    );
    expect(last).toMatchObject({ succeeded: { artifactSha256: made.artifactSha256, metrics: made.metrics } });
  });

  it('fails where there is nothing to quantize', async () => {
    const inputs = makeNode('Slice', ['input', 'start', 'end', 'axis'], ['y']);
    const indices = { start: 0, end: 10, axis: 1 };
    const tensors = Object.entries(indices).map(([name, value]) => int64Tensor(name, [1], [value]));
    await register(mesh, 'plain', modelOf([64], [inputs], tensors, [10]));
    expect((await followed(mesh, await submit(specOf('plain')))).at(-1)).toMatchObject({
      failed: {
        reason: 'there is nothing to quantize: no convolution or matrix product has constant weights',
      },
    });
  });

  it.each<[string, Model, string]>([
    ['an opset from before all that is known', ofOpset(6, []), 'the model has opset 6, quantization wants 7 or later'],
    [
      'an operator that has no equal in the opset of quantization',
      ofOpset(9, [makeNode('Upsample', ['input', 'ones'], ['prepared'], {}, 'up')]),
      "node 'up' (Upsample) of opset 9 says something else in opset 13, which quantization wants: " +
        'export the model with opset 13 or later',
    ],
    [
      'values that are no numbers',
      ofOpset(18, [makeNode('Sub', ['input', 'eight'], ['less']), makeNode('Log', ['less'], ['prepared'])]),
      "tensor 'prepared' became NaN on the calibration examples, wants finite numbers",
    ],
    [
      'weights that diverged',
      modelOf(
        [64],
        [makeNode('MatMul', ['input', 'matrix'], ['y'])],
        [floatTensor('matrix', [64, 10], new Float32Array(640).fill(NaN, 320))],
        [10],
      ),
      "initializer 'matrix' is NaN or infinite in 320 of its 640 numbers, the first is NaN at [32, 0]: wants finite weights",
    ],
  ])('fails at %s, and registers nothing', async (words, model, reason) => {
    const name = words.replaceAll(' ', '-').slice(0, 40);
    await register(mesh, name, model);
    expect((await followed(mesh, await submit(specOf(name)))).at(-1)).toMatchObject({ failed: { reason } });
    await expect(mesh.store.registry.version(name, '2')).rejects.toThrow();
  });

  it('refuses to quantize what is quantized', async () => {
    await expect(submit(specOf('quantized', { version: '2' }))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: "version '2' of model 'quantized' is already quantized: start from its parent",
    });
  });

  it.each([
    [
      'quantize_static',
      { calibration: 'entropy', cpu: 'x64' },
      'quantized static int8',
      1,
      /^Written for x64 without V/,
    ],
    ['quantize_static', { correct_biases: true, equalize: true }, 'quantized static int8', 1, /^Biases make up for/],
    ['store_bytes', {}, 'stored bytes', 0.4, /8-bit integers. Storage only/],
    ['quantize_dynamic', {}, 'quantized dynamic int8', 1, /^1 layers multiply in int8/],
    [
      'quantize_static',
      { format: 'qoperator' },
      'quantized static int8',
      1,
      /^3 operators are written as integer ones/,
    ],
    ['quantize_signs', { all_layers: true }, 'quantized ternary weights', 0.3, /1.6 bits a weight. Storage only/],
    ['quantize_weights', { bits: 2 }, 'quantized weights to int2', 0.2, /in 2 bits, 32 to a scale, rounded/],
    ['quantize_weights', { bits: 8 }, 'quantized weights to int8', 1, /in 8 bits, 32 to a scale, rounded/],
    ['quantize_weights', { method: 'gptq', calibration_samples: 90 }, 'quantized weights to int4', 0.3, /\(GPTQ\)/],
    ['quantize_weights', { method: 'hqq' }, 'quantized weights to int4', 0.3, /in 4 bits, .* half-quadratic/],
    ['quantize_weights', { block_size: 16, symmetric: true }, 'quantized weights to int4', 0.3, /in 4 bits, 16 to a/],
    ['share_weights', {}, 'shared weights of 16 values', 0.3, /at most 16 values. Storage only/],
    ['share_weights', { clusters: 200, start: 'linear' }, 'shared weights of 200 values', 1, /at most 200 values/],
    ['store_halves', {}, 'stored halves', 0.6, /16-bit floats. Storage only/],
  ])('writes weights in fewer bits: %s %o', async (kind, fields, method, share, note) => {
    const model = `${kind}-${Object.values(fields).join('-')}`;
    const parent = await register(mesh, model, graph);
    const fewest = ['quantized ternary weights', 'quantized weights to int2'].includes(method);
    const spec = specOf(model, { passes: [{ [kind]: fields }], max_accuracy_drop: fewest ? 0.04 : 0.02 });
    await succeeded(mesh, await submit(spec));
    const made = await mesh.store.registry.version(model, '2');
    expect(made.lineage).toMatchObject({ method, parentVersion: '1' });
    expect(made.metrics).toMatchObject({ parameters: 2610 });
    expect(Number(made.sizeBytes) - lineageBytes).toBeLessThan(share * Number(parent.sizeBytes));
    expect((await reportOf(mesh, made)).report.notes).toContainEqual(expect.stringMatching(note));
    const file = await mesh.store.artifacts.read(made.artifactSha256);
    expect(() => checkAdmission(file)).not.toThrow();
    await expect(submit(specOf(model, { version: '2' }))).rejects.toThrow(
      /is already quantized: start from its parent/,
    );
  });

  it.each([
    ['quantize_static', 'conv'],
    ['quantize_static', 'd*e'],
  ])('%s leaves in floats what is excluded: %s', async (kind, pattern) => {
    const model = `without-${pattern.replace('*', '')}`;
    await register(mesh, model, graph);
    await succeeded(mesh, await submit(specOf(model, { passes: [{ [kind]: { exclude: [pattern] } }] })));
    const made = await mesh.store.registry.version(model, '2');
    const { graph: stored } = readOnnx(await mesh.store.artifacts.read(made.artifactSha256));
    const floats = pattern === 'conv' ? 'kernels' : 'matrix';
    expect(['kernels', 'matrix'].filter((name) => stored.initializers.has(name))).toEqual([floats]);
    const { notes } = (await reportOf(mesh, made)).report;
    expect(notes).toContain(`1 layers stay in floats: ${pattern}.`);
    expect(notes.join()).toContain('1 products compute in integers and 1 in floats');
  });

  it('fails where everything, or nothing, is excluded', async () => {
    await register(mesh, 'excluding', graph);
    const failure = async (passes: object[]) =>
      (await followed(mesh, await submit(specOf('excluding', { passes })))).at(-1);
    expect(await failure([{ quantize_static: { exclude: ['*'] } }])).toMatchObject({
      failed: { reason: expect.stringContaining('that is not excluded has constant weights') as string },
    });
    for (const kind of ['quantize_static', 'quantize_dynamic', 'quantize_weights']) {
      expect(await failure([{ [kind]: { exclude: ['fc7'] } }])).toMatchObject({
        failed: { reason: expect.stringContaining("exclude 'fc7' names none of the layers") as string },
      });
    }
  });

  it('searches for the passes that make the least of it, and registers those that nothing else beats', async () => {
    await using _doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    await register(mesh, 'searched', graph);
    const spec = { passes: [], goal: { optimize: 'smallest', time_budget_seconds: 20 }, max_accuracy_drop: 0.02 };
    const { version, metrics } = await succeeded(mesh, await submit(specOf('searched', spec)));
    const best = await mesh.store.registry.version('searched', version);
    const { report, markdown } = await reportOf(mesh, best);
    expect(report.search!.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['16 shared weights', 'int4 weights', '90 % zeros']),
    );
    expect(report.search!.filter(({ outcome }) => outcome === 'the best')).toHaveLength(1);
    expect(report.search!.every(({ outcome }) => outcome !== '')).toBe(true);
    expect(markdown).toContain('| tried | accuracy |');
    const { versions } = await mesh.store.registry.model('searched');
    const front = report.search!.filter(({ outcome }) => /^(the best|none is better)/.test(outcome));
    expect(versions).toHaveLength(1 + front.length);
    for (const other of versions.filter((one) => one.version !== '1')) {
      expect(other.metrics['size_bytes']).toBeGreaterThanOrEqual(metrics['size_bytes']!);
      expect(other.lineage).toMatchObject({ parentVersion: '1' });
    }
  });

  it('tells the nearest candidate where none is within the bounds, and registers nothing', async () => {
    await using _doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    await register(mesh, 'bounded', graph);
    const goal = { optimize: 'fastest', max_bytes: 10, time_budget_seconds: 20 };
    const spec = specOf('bounded', { passes: [], goal, max_accuracy_drop: 0.02 });
    expect((await followed(mesh, await submit(spec))).at(-1)).toMatchObject({
      failed: {
        reason: expect.stringMatching(
          /^none of \d+ candidates has a faster answer than its parent, an accuracy drop of at most 0.02, at most 10 bytes; the nearest is int.* bytes \(.*, more than 10\)$/,
        ),
      },
    });
    expect((await mesh.store.registry.model('bounded')).versions).toHaveLength(1);
  });

  it('has the trainer fine-tune what it pruned, and stores the zeros as what they are: nothing', async () => {
    await using doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    await register(mesh, 'pruned', graph);
    const spec = specOf('pruned', {
      passes: [prune(0.8, { finetune_epochs: 3, finetune_learning_rate: 0.01 })],
      data: { dataset: 'digits', normalize: 'minmax' },
      max_accuracy_drop: 0.5,
      seed: 9,
    });
    const jobId = await submit(spec);
    expect(await succeeded(mesh, jobId)).toMatchObject({ version: '2' });
    expect(doubled.submitted).toMatchObject([
      {
        jobId: `${jobId}-pass0`,
        spec: {
          model: 'pruned',
          artifactOnly: true,
          base: { keepZeros: true },
          data: { dataset: 'digits', version: '1', normalize: '' },
          optimizer: { kind: { adam: { learningRate: 0.01 } } },
          epochs: 3,
          batchSize: 64,
          seed: 9n,
        },
      },
    ]);
    const made = await mesh.store.registry.version('pruned', '2');
    const file = await mesh.store.artifacts.read(made.artifactSha256);
    const stored = readOnnx(file);
    expect([...stored.graph.sparseInitializers.keys()]).toContain('matrix');
    expect(() => checkAdmission(file)).not.toThrow();
    expect(weightFigures(stored).sparsity).toBeCloseTo(0.8, 3);
    expect(made).toMatchObject({
      lineage: { method: 'pruned 80 %', parentVersion: '1', jobId },
      metrics: { sparsity: weightFigures(stored).sparsity, accuracy: await accuracyOf(file, digits) },
    });
    expect(file.byteLength).toBeLessThan(0.55 * writeOnnx(graph).byteLength);
  });

  it('removes channels before the trainer fine-tunes what is left', async () => {
    await using doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    await register(mesh, 'narrowed', graph);
    const passes = [{ prune_structured: { ratio: 0.5, finetune_epochs: 4 } }];
    const jobId = await submit(specOf('narrowed', { passes, max_accuracy_drop: 1 }));
    expect(await succeeded(mesh, jobId)).toMatchObject({ version: '2' });
    expect(doubled.submitted).toMatchObject([
      { jobId: `${jobId}-pass0`, spec: { epochs: 4, base: { keepZeros: false } } },
    ]);

    const made = await mesh.store.registry.version('narrowed', '2');
    const file = await mesh.store.artifacts.read(made.artifactSha256);
    expect(() => checkAdmission(file)).not.toThrow();
    expect(readOnnx(file).graph.initializers.get('kernels')!.dims).toEqual([2, 1, 3, 3]);
    expect(readOnnx(file).graph.initializers.get('matrix')!.dims).toEqual([128, 10]);
    expect(made).toMatchObject({
      lineage: { method: 'pruned 50 % of the channels', parentVersion: '1' },
      metrics: { parameters: 2 * 9 + 2 + 128 * 10 + 10, accuracy: await accuracyOf(file, digits) },
    });
    expect((await reportOf(mesh, made)).report.notes[0]).toBe(
      '2 of 4 removable channels (in 1 group) are gone, the least important first: 4,864 multiply-adds per example ' +
        'became 2,432. The rest was fine-tuned for 4 epochs.',
    );
  });

  it('fails where no channel can be removed', async () => {
    const nodes = [makeNode('Gemm', ['input', 'matrix', 'bias'], ['logits'])];
    const { initializers } = someCnn().graph;
    const matrix = { ...initializers.get('matrix')!, dims: [64, 10] };
    const layer = modelOf(
      [64],
      nodes,
      [{ ...matrix, bytes: matrix.bytes.slice(0, 2560) }, initializers.get('bias')!],
      [10],
    );
    await register(mesh, 'whole', layer);
    const jobId = await submit(specOf('whole', { passes: [{ prune_structured: { ratio: 0.5 } }] }));
    expect((await followed(mesh, jobId)).at(-1)).toMatchObject({
      $case: 'failed',
      failed: { reason: expect.stringMatching(/^there is no channel to remove: /) as string },
    });
  });

  it('fails a job whose result lost too much, with both figures, and registers nothing', async () => {
    await using _doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    await register(mesh, 'gated', graph);
    const jobId = await submit(specOf('gated', { passes: [prune(0.99)], max_accuracy_drop: 0.01 }));
    const last = (await followed(mesh, jobId)).at(-1);
    const before = (await accuracyOf(writeOnnx(graph), digits)).toFixed(4);
    expect(last).toMatchObject({
      failed: {
        reason: expect.stringMatching(
          new RegExp(
            `^accuracy fell from ${before} to 0\\.\\d{4} on 359 held-out rows: a drop of 0\\.\\d{4}, max_accuracy_drop is 0\\.01$`,
          ),
        ),
      },
    });
    expect((await mesh.store.registry.model('gated')).versions).toHaveLength(1);
  });

  it('tells the trainer whom the student learns from: the version a label meant when the job began', async () => {
    const { artifactSha256 } = await register(mesh, 'taught', graph);
    await mesh.store.registry.settleAdmission('taught', '1', { kind: 'admitted' });
    await mesh.store.registry.setLabel('taught', { name: 'stable', targets: [{ version: '1', weight: 1 }] });
    await using doubled = await startTrainer(mesh.store, {
      train: async () => ({ version: '', artifactSha256, metrics: {} }),
    });
    const passes = [{ distill: { ...distill.distill, epochs: 5, temperature: 2, mix: 0.5 } }];
    const jobId = await submit(specOf('taught', { version: 'stable', passes }));
    await succeeded(mesh, jobId);
    expect(doubled.submitted).toMatchObject([
      {
        spec: {
          layers: [{ kind: { $case: 'dense' } }],
          distillation: { version: '1', model: '', temperature: 2, mix: 0.5 },
          epochs: 5,
          batchSize: 64,
          artifactOnly: true,
        },
      },
    ]);
    expect((await mesh.store.registry.version('taught', '2')).lineage).toMatchObject({ method: 'distilled' });
  });

  it('tells the trainer of another teacher, of hidden values, and of the part of the version that a student begins as', async () => {
    await register(mesh, 'thinned', someCnn());
    await using doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    const features = [{ teacher: 'positive', student: 'positive', loss: 'mse', weight: 2 }];
    const teacher = { model: 'taught', version: 'stable' };
    const passes = [{ distill: { thinned: { ratio: 0.5 }, features, teacher } }];
    const jobId = await submit(specOf('thinned', { passes, max_accuracy_drop: 1 }));
    await succeeded(mesh, jobId);
    expect(doubled.submitted).toMatchObject([
      {
        spec: {
          layers: [],
          base: { source: { $case: 'artifactSha256' } },
          data: { normalize: '' },
          distillation: { ...teacher, temperature: 4, mix: 0.7, features },
          epochs: 30,
        },
      },
    ]);
    const made = await mesh.store.registry.version('thinned', '2');
    expect(made.lineage).toMatchObject({ method: 'thinned and distilled', parentVersion: '1' });
    const { initializers } = readOnnx(await mesh.store.artifacts.read(made.artifactSha256)).graph;
    expect(initializers.get('kernels')!.dims[0]).toBe(2);
    expect((await reportOf(mesh, made)).markdown).toContain(
      'The student began as the version without 2 of 4 removable channels',
    );
  });

  it('gives one job and one version for one id, and refuses the id for another spec', async () => {
    await register(mesh, 'once', graph);
    const spec = specOf('once');
    expect(await submit(spec, 'one-job')).toBe('one-job');
    expect(await submit(spec, 'one-job')).toBe('one-job');
    await succeeded(mesh, 'one-job');
    expect(await submit(spec, 'one-job')).toBe('one-job');
    expect((await mesh.store.registry.model('once')).versions).toHaveLength(2);
    await expect(submit({ ...spec, seed: 1n }, 'one-job')).rejects.toMatchObject({
      code: status.ALREADY_EXISTS,
      message: "job 'one-job' exists with another spec",
    });
    expect(await mesh.mill.optimizer.get('one-job')).toMatchObject({ status: { jobId: 'one-job' }, spec });
    expect((await mesh.mill.optimizer.list())[0]!.status!.jobId).toBe('one-job');
  });

  it('waits for a trainer that is not there yet', async () => {
    await register(mesh, 'patient', graph);
    const jobId = await submit(specOf('patient', { passes: [prune(0.5)], max_accuracy_drop: 1 }));
    for await (const { status: jobStatus } of mesh.mill.optimizer.watch(jobId)) {
      const state = jobStatus!.state!;
      if (state.$case === 'running' && state.running.stage === 'waiting for a trainer') break;
    }
    await using _doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    expect(await succeeded(mesh, jobId)).toMatchObject({ version: '2' });
  });

  it.each([
    ['its own', 'killed', () => mesh.restart()],
    ["NATS'", 'unheard', () => mesh.restartNats()],
  ])('survives %s kill -9 while its training runs: one training, one version', async (_, model, kill) => {
    await register(mesh, model, graph);
    let finish = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    let began = () => {};
    const beginning = new Promise<void>((resolve) => (began = resolve));
    const trained: string[] = [];
    await using _doubled = await startTrainer(mesh.store, {
      train: async (claim, spec) => {
        trained.push(claim.job.id);
        began();
        await finished;
        return baseAsItIs(claim, spec);
      },
    });
    const jobId = await submit(specOf(model, { passes: [prune(0.5)], max_accuracy_drop: 1 }));
    await beginning;
    await kill();
    finish();
    expect(await succeeded(mesh, jobId)).toMatchObject({ version: '2' });
    expect(trained).toEqual([`${jobId}-pass0`]);
    const { versions } = await mesh.store.registry.model(model);
    expect(versions.map(({ version, lineage }) => [version, lineage?.jobId])).toEqual([
      ['1', ''],
      ['2', jobId],
    ]);
  });

  it('cancels its training when it is cancelled, whether that runs or still waits', async () => {
    await register(mesh, 'cancelled', graph);
    let began = () => {};
    const beginning = new Promise<void>((resolve) => (began = resolve));
    await using _doubled = await startTrainer(mesh.store, {
      train: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('stopped')));
          began();
        }),
    });
    const running = await submit(specOf('cancelled', { passes: [prune(0.5)] }));
    await beginning;
    const waiting = await submit(specOf('cancelled', { passes: [prune(0.6)] }));
    for await (const { status: jobStatus } of mesh.mill.optimizer.watch(waiting)) {
      const state = jobStatus!.state!;
      if (state.$case === 'running' && state.running.stage === 'waiting for a trainer') break;
    }
    for (const jobId of [waiting, running]) {
      await mesh.mill.optimizer.cancel(jobId);
      expect((await followed(mesh, jobId)).at(-1)).toMatchObject({ $case: 'cancelled' });
      for await (const child of mesh.store.jobs.watch(`${jobId}-pass0`)) {
        if (child.status.state?.$case === 'cancelled') break;
      }
      expect((await mesh.store.jobs.get(`${jobId}-pass0`)).status.state).toMatchObject({ $case: 'cancelled' });
    }
    expect((await mesh.store.registry.model('cancelled')).versions).toHaveLength(1);
  });

  it("fails with the trainer's reason where the trainer refuses, or its training fails", async () => {
    await register(mesh, 'refused', graph);
    const refused = submit(specOf('refused', { passes: [prune(0.5)] }));
    await using _doubled = await startTrainer(mesh.store, {
      train: baseAsItIs,
      refusal: ({ base }) => (base ? 'epochs is 10, wants fewer' : 'layers[0].dense.units is 10, wants 9'),
    });
    expect((await followed(mesh, await refused)).at(-1)).toMatchObject({
      failed: { reason: 'the trainer refused its training: epochs is 10, wants fewer' },
    });
    await expect(submit(specOf('refused', { passes: [distill] }))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'passes[0].distill.student: layers[0].dense.units is 10, wants 9',
    });
  });

  it('carries the trace of who submitted to the trainer', async () => {
    await using doubled = await startTrainer(mesh.store, { train: baseAsItIs });
    await register(mesh, 'traced', graph);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const spec = specOf('traced', { passes: [prune(0.5)], max_accuracy_drop: 1 });
    const metadata = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    const { status: jobStatus } = await mesh.mill.optimizer.submit(spec, {}, { metadata });
    await succeeded(mesh, jobStatus!.jobId);
    expect(String(doubled.submitted[0]!.metadata.get('traceparent')[0])).toContain(traceId);
  });

  it('analyzes a version', async () => {
    await register(mesh, 'analyzed', someCnn());
    const { layers, advice } = await mesh.mill.optimizer.analyze('analyzed', '1');
    expect(layers).toMatchObject([
      { node: 'conv', parameters: 40n },
      { node: 'dense', parameters: 2570n, multiplyAdds: 2560n },
    ]);
    expect(advice).toHaveLength(3);
  });

  it.each([
    [{ model: 'nobody' }, status.NOT_FOUND, "model 'nobody' is not registered"],
    [{ version: 'canary' }, status.NOT_FOUND, "model 'strict' has no version or label 'canary'"],
    [{ data: { dataset: 'faces' } }, status.NOT_FOUND, "dataset 'faces' does not exist"],
    [{ data: { dataset: 'digits', version: '9' } }, status.NOT_FOUND, "dataset 'digits' has no version '9'"],
    [{ passes: [] }, status.INVALID_ARGUMENT, 'passes is empty, wants at least one, or a preset, or a goal'],
    [{ version: '2' }, status.INVALID_ARGUMENT, "model 'strict' takes [3] per example, the dataset has [64]"],
    [{ version: '3' }, status.FAILED_PRECONDITION, "version '3' of model 'strict' was rejected: it is ugly"],
  ])('refuses %j', async (fields, code, message) => {
    if (!(await mesh.store.registry.models()).some(({ name }) => name === 'strict')) {
      await register(mesh, 'strict', graph);
      await register(mesh, 'strict', modelOf([3], graph.graph.nodes.slice(-1), [], [10]));
      await register(mesh, 'strict', graph);
      await mesh.store.registry.settleAdmission('strict', '3', { kind: 'rejected', reason: 'it is ugly' });
    }
    await expect(submit(specOf('strict', fields))).rejects.toMatchObject({ code, message });
  });

  it('knows no job of another kind, and no name too long for its trainings', async () => {
    await mesh.store.jobs.submit('train', Buffer.from(''), 'a-training');
    for (const jobId of ['a-training', 'nothing']) {
      await expect(mesh.mill.optimizer.get(jobId)).rejects.toMatchObject({
        code: status.NOT_FOUND,
        message: `optimization job '${jobId}' does not exist`,
      });
    }
    await expect(submit(specOf('strict'), 'a-training')).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
    await expect(submit(specOf('strict'), 'x'.repeat(59))).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await mesh.store.jobs.cancel('a-training');
  });

  it('ends at SIGTERM with exit code 0 although someone watches', async () => {
    await register(mesh, 'watched', graph);
    const jobId = await submit(specOf('watched', { passes: [prune(0.5)] }));
    for await (const _ of mesh.mill.optimizer.watch(jobId)) {
      expect(await mesh.stop()).toBe(0); // with the watch open
      break;
    }
    expect((await mesh.store.jobs.get(jobId)).status.state?.$case).toMatch(/queued|running/);
  });
});
