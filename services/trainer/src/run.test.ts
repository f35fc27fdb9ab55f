import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { datasets, trainer } from '@modelmill/contracts';
import type { jobs, registry } from '@modelmill/contracts';
import { batches, readTable, splitRows } from '@modelmill/data';
import { floatTensor, makeNode, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import type { JobRecord } from '@modelmill/store';
import { readCheckpoint } from './checkpoint.js';
import { startTraining } from './start-for-tests.js';
import type { Training } from './start-for-tests.js';

const digitsFile = fileURLToPath(new URL('../../../examples/data/digits.csv.gz', import.meta.url));
const splits = { train: 0.8, validation: 0, test: 0.2, seed: 0n };
const methods = trainer.TrainerService;

type Partial = Parameters<typeof trainer.TrainingSpec.fromPartial>[0];
type DatasetFields = Parameters<typeof datasets.DatasetVersion.fromPartial>[0];
type Layer = NonNullable<Partial['layers']>[number];
const dense = (units: number, activation = ''): Layer => ({ kind: { $case: 'dense', dense: { units, activation } } });
const reshape = (...shape: bigint[]): Layer => ({ kind: { $case: 'reshape', reshape: { shape } } });
const sgd = (learningRate: number) => ({ kind: { $case: 'sgd' as const, sgd: { learningRate } } });

const specOf = (model: string, changes: Partial = {}) =>
  trainer.TrainingSpec.fromPartial({
    model,
    data: { dataset: 'digits', normalize: 'standard' },
    layers: [dense(32, 'relu'), { kind: { $case: 'dropout', dropout: { rate: 0.1 } } }, dense(10)],
    optimizer: { kind: { $case: 'adam', adam: { learningRate: 0.005 } } },
    epochs: 6,
    seed: 3n,
    ...changes,
  });
/** Long enough to be interrupted. */
const longOf = (model: string, changes: Partial = {}) => specOf(model, { epochs: 200, ...changes });

async function addDataset({ store }: Training, dataset: string, changes: DatasetFields = {}): Promise<void> {
  const { sha256, size } = await store.artifacts.put(createReadStream(digitsFile));
  await store.datasets.add(
    datasets.DatasetVersion.fromPartial({
      dataset,
      artifactSha256: sha256,
      sizeBytes: BigInt(size),
      rows: 1797n,
      format: { $case: 'csv', csv: { header: false, target: '' } },
      schema: { featureShape: [64n], target: 'c64', classes: Array.from({ length: 10 }, (_, i) => String(i)) },
      splits,
      ...changes,
    }),
  );
}

/** y = 3a − 2b + 1, in 200 rows. */
async function addLine({ store }: Training): Promise<void> {
  const rows = Array.from({ length: 200 }, (_, i) => [Math.sin(i), Math.cos(3 * i)] as const);
  const csv = ['a,b,y', ...rows.map(([a, b]) => `${a},${b},${3 * a - 2 * b + 1}`)].join('\n');
  const { sha256, size } = await store.artifacts.put(Buffer.from(csv));
  await store.datasets.add(
    datasets.DatasetVersion.fromPartial({
      dataset: 'line',
      artifactSha256: sha256,
      sizeBytes: BigInt(size),
      rows: 200n,
      format: { $case: 'csv', csv: { header: true, target: 'y' } },
      schema: { featureShape: [2n], featureNames: ['a', 'b'], target: 'y', classes: [] },
      splits,
    }),
  );
}

/** scores = softmax(input · w). */
function classifier(features: number, classes: number): Model {
  return {
    irVersion: 9,
    opsets: new Map([['', 18]]),
    producer: 'test',
    metadata: new Map(),
    functions: [],
    graph: {
      name: 'classifier',
      nodes: [makeNode('MatMul', ['input', 'w'], ['scores']), makeNode('Softmax', ['scores'], ['probabilities'])],
      initializers: new Map([['w', floatTensor('w', [features, classes], new Float32Array(features * classes))]]),
      sparseInitializers: new Map(),
      inputs: [{ name: 'input', dataType: 'float', shape: ['n', features] }],
      outputs: [{ name: 'probabilities', dataType: 'float', shape: ['n', classes] }],
      valueInfo: [],
    },
  };
}

async function register({ store }: Training, model: string, graph: Model): Promise<registry.Version> {
  const artifact = await store.artifacts.put(writeOnnx(graph));
  const [input, output] = [graph.graph.inputs[0]!, graph.graph.outputs[0]!];
  const side = ({ name, shape }: typeof input) => ({
    name,
    datatype: 'FP32',
    shape: (shape ?? []).map((size) => (typeof size === 'number' ? BigInt(size) : -1n)),
  });
  const signature = { inputs: [side(input)], outputs: [side(output)] };
  const lineage = { method: 'uploaded', parentVersion: '', jobId: '', dataset: '', datasetVersion: '' };
  return store.registry.registerVersion({ model, artifact, signature, lineage, metrics: {} });
}

/** Accuracy of an ONNX file on the test rows, by ONNX Runtime in this process. */
async function accuracyOf(file: Uint8Array): Promise<number> {
  const table = await readTable(digitsFile, { kind: 'csv', header: false, target: '' });
  const { test } = splitRows(table.rows, splits);
  await using session = await openSession(file);
  const order = { batchSize: test.length, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
  let right = 0;
  for (const { features, targets, size } of batches(table, test, order)) {
    const answers = await session.run({ input: { dims: [size, 64], data: features } });
    const scores = answers['probabilities']!.data as Float32Array;
    targets.forEach((target, row) => {
      const of = scores.subarray(row * 10, row * 10 + 10);
      right += Number(of.indexOf(Math.max(...of)) === target);
    });
  }
  return right / test.length;
}

describe('the trainer service', () => {
  let mesh: Training;
  beforeAll(async () => {
    mesh = await startTraining({ VK_DRIVER_FILES: '/no/such/driver.json' });
    await addDataset(mesh, 'digits');
    await addLine(mesh);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const submit = async (spec: trainer.TrainingSpec, jobId = '') =>
    (await mesh.call(methods.submitTraining, { spec, jobId })).job!.status!.jobId;
  const validate = (spec: trainer.TrainingSpec | undefined) => mesh.call(methods.validateTraining, { spec });

  /** What a watch of the service tells until the end. */
  async function followed(jobId: string): Promise<trainer.TrainingJob[]> {
    const seen: trainer.TrainingJob[] = [];
    for await (const { job } of mesh.watch(jobId)) seen.push(job!);
    return seen;
  }

  /** The end of a job, from the store: the service may be away. */
  async function ended(jobId: string): Promise<JobRecord> {
    let last: JobRecord | undefined;
    for await (const job of mesh.store.jobs.watch(jobId)) last = job;
    return last!;
  }

  function success({ status: { state } }: JobRecord): jobs.JobSucceeded {
    if (state?.$case !== 'succeeded') throw new Error(`the job ended as ${JSON.stringify(state)}`);
    return state.succeeded;
  }

  /** The first record of a job for which this holds. */
  async function when(jobId: string, holds: (job: JobRecord) => boolean): Promise<JobRecord> {
    for await (const job of mesh.store.jobs.watch(jobId)) if (holds(job)) return job;
    throw new Error(`job '${jobId}' ended first`);
  }

  it('trains what was asked for, tells how far it is, and registers a version with lineage and measured metrics', async () => {
    const jobId = await submit(specOf('digits', { label: 'stable', data: { dataset: 'digits', normalize: 'minmax' } }));
    const seen = await followed(jobId);
    const steps = seen.flatMap(({ progress }) => (progress ? [Number(progress.step)] : []));
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
    const { progress, status: at } = seen.at(-1)!;
    expect(progress).toMatchObject({ epoch: 6, epochs: 6, step: 132n, steps: 132n, secondsLeft: 0 });
    expect(progress!.metrics['accuracy']).toBeGreaterThan(0.9);
    expect(progress!.examplesPerSecond).toBeGreaterThan(0);

    const version = await mesh.store.registry.version('digits', '1');
    expect(at!.state).toMatchObject({
      $case: 'succeeded',
      succeeded: { version: '1', artifactSha256: version.artifactSha256, metrics: version.metrics },
    });
    expect(version).toMatchObject({
      lineage: { method: 'trained', parentVersion: '', jobId, dataset: 'digits', datasetVersion: '1' },
      signature: {
        inputs: [{ name: 'input', datatype: 'FP32', shape: [-1n, 64n] }],
        outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1n, 10n] }],
      },
    });
    const file = await mesh.store.artifacts.read(version.artifactSha256);
    expect(version.metrics).toMatchObject({
      accuracy: await accuracyOf(file),
      parameters: 64 * 32 + 32 + 32 * 10 + 10,
      size_bytes: file.byteLength,
    });

    const { lines } = await mesh.call(methods.getTrainingHistory, { jobId });
    expect(lines.filter(({ evaluation }) => evaluation)).toHaveLength(6 + 1); // each epoch, and the end
    expect(lines[0]).toMatchObject({
      step: 1n,
      evaluation: false,
      figures: { learning_rate: expect.closeTo(0.005, 6) },
    });
    expect(lines.at(-1)!.figures['accuracy']).toBe(version.metrics['accuracy']);
    expect(lines.at(-2)!.figures['loss']).toBeLessThan(lines[0]!.figures['loss']!);

    await mesh.store.registry.settleAdmission('digits', '1', { kind: 'admitted' });
    const { labels } = await mesh.store.registry.model('digits');
    expect(labels).toEqual([{ name: 'stable', targets: [{ version: '1', weight: 1 }] }]);
  });

  it.each([
    ['full_batch', 3, 3, 0.3],
    ['stochastic', 3, 3 * 160, 0.02],
    ['mini_batch', 3, 3 * 10, 0.1],
  ])('goes down by %s in %i epochs, which are %i steps', async (mode, epochs, steps, learningRate) => {
    const spec = specOf('line', {
      data: { dataset: 'line' },
      layers: [dense(1)],
      optimizer: sgd(learningRate),
      batchSize: mode === 'mini_batch' ? 16 : 0,
      mode,
      epochs,
      artifactOnly: true,
    });
    const seen = await followed(await submit(spec));
    const { progress, status: at } = seen.at(-1)!;
    expect(progress).toMatchObject({ epoch: epochs, epochs, step: BigInt(steps), steps: BigInt(steps) });
    if (at?.state?.$case !== 'succeeded') throw new Error(JSON.stringify(at?.state));
    expect(at.state.succeeded.metrics['r2']).toBeGreaterThan(0.4);
  });

  it('trains with TensorFlow.js as with its own engine', async () => {
    const by = async (engine: string) => {
      const spec = specOf(`by-${engine}`, { engine, epochs: 2, artifactOnly: true });
      const { artifactSha256, metrics } = success(await ended(await submit(spec)));
      const { graph } = readOnnx(await mesh.store.artifacts.read(artifactSha256));
      return { graph, metrics };
    };
    const [ours, theirs] = [await by('onnx'), await by('tfjs')];
    expect(theirs.metrics['accuracy']).toBeGreaterThan(0.8);
    expect(Math.abs(theirs.metrics['loss']! - ours.metrics['loss']!)).toBeLessThan(0.01);
    expect([...theirs.graph.initializers.keys()]).toEqual([...ours.graph.initializers.keys()]);
    expect(theirs.graph.nodes).toEqual(ours.graph.nodes);
  });

  it('trains a network by name, then adapters on it, and serves the structure it had', async () => {
    const preset = { kind: { $case: 'mlp' as const, mlp: { hidden: [32, 32] } } };
    const first = success(await ended(await submit(specOf('tuned', { layers: [], preset, artifactOnly: true }))));
    const source = { $case: 'artifactSha256' as const, artifactSha256: first.artifactSha256 };
    const tuned = specOf('tuned', {
      layers: [],
      base: { source, lora: { rank: 2, targets: ['layer0.*'] } },
      epochs: 2,
      artifactOnly: true,
    });
    const { parameters, layers } = await validate(tuned);
    expect([parameters, layers]).toEqual([BigInt(2 * (64 + 32)), []]);
    const second = success(await ended(await submit(tuned)));
    const [before, after] = await Promise.all(
      [first, second].map(
        async ({ artifactSha256 }) => readOnnx(await mesh.store.artifacts.read(artifactSha256)).graph,
      ),
    );
    expect(after!.nodes.map(({ opType }) => opType)).toEqual(before!.nodes.map(({ opType }) => opType));
    const changed = [...after!.initializers].filter(([name, { bytes }]) => {
      return Buffer.compare(bytes, before!.initializers.get(name)!.bytes) !== 0;
    });
    expect(changed.map(([name]) => name)).toEqual(['layer0.weight']);
    expect(second.metrics['loss']).toBeLessThan(first.metrics['loss']! + 0.05);
  });

  it('trains a language model by name, which takes texts up to the length it was trained on', async () => {
    const text = 'the mill turns and the wheel turns and the water runs. '.repeat(60);
    const { sha256, size } = await mesh.store.artifacts.put(Buffer.from(text));
    await mesh.store.datasets.add(
      datasets.DatasetVersion.fromPartial({
        dataset: 'mill-song',
        artifactSha256: sha256,
        sizeBytes: BigInt(size),
        rows: BigInt(text.length),
        format: { $case: 'text', text: {} },
        splits: { train: 0.8, validation: 0.1, test: 0.1, seed: 0n },
      }),
    );
    const gpt = { layers: 2, heads: 2, width: 16, dropout: 0.1, tied: true };
    const spec = specOf('song', {
      layers: [],
      preset: { kind: { $case: 'gpt', gpt } },
      data: { dataset: 'mill-song', context: 16 },
      steps: 60n,
      batchSize: 8,
      artifactOnly: true,
    });
    const vocabulary = new Set(text).size;
    const { layers, signature } = await validate(spec);
    expect(layers.map(({ name }) => name.replace(/^\d+: /, ''))).toEqual([
      'embedding',
      'position_embedding',
      'dropout',
      'transformer_block',
      'transformer_block',
      'layer_norm',
      'tied_head',
    ]);
    expect(signature!.outputs[0]!.shape).toEqual([-1n, -1n, BigInt(vocabulary)]);
    const { artifactSha256, metrics } = success(await ended(await submit(spec)));
    expect(metrics['loss']).toBeLessThan(Math.log(vocabulary) - 0.5);
    await using session = await openSession(await mesh.store.artifacts.read(artifactSha256));
    for (const length of [1, 5, 16]) {
      const { probabilities } = await session.run({
        input: { dims: [2, length], data: new BigInt64Array(2 * length) },
      });
      expect(probabilities!.dims).toEqual([2, length, vocabulary]);
    }
  });

  it('learns numbers, too', async () => {
    const layers = [dense(1)];
    const optimizer = sgd(0.2);
    const spec = specOf('line', { data: { dataset: 'line' }, layers, optimizer, epochs: 60, batchSize: 16 });
    const { metrics, artifactSha256 } = success(await ended(await submit(spec)));
    expect(metrics['r2']).toBeGreaterThan(0.9999);
    expect(metrics['loss']).toBeLessThan(1e-3);
    const { graph } = readOnnx(await mesh.store.artifacts.read(artifactSha256));
    const weights = [...graph.initializers.values()].flatMap(({ bytes }) => [
      ...new Float32Array(new Uint8Array(bytes).buffer),
    ]);
    [3, -2, 1].forEach((wanted, i) => expect(weights[i]).toBeCloseTo(wanted, 1));
  });

  it('tells what it would train, without training it', async () => {
    const layers = [reshape(1n, 8n, 8n), { kind: { $case: 'flatten', flatten: {} } } as Layer, dense(10)];
    expect(await validate(specOf('never', { layers }))).toEqual({
      layers: [
        { name: '0: reshape', outputShape: [1n, 8n, 8n], parameters: 0n },
        { name: '1: flatten', outputShape: [64n], parameters: 0n },
        { name: '2: dense', outputShape: [10n], parameters: 650n },
      ],
      parameters: 650n,
      signature: {
        inputs: [{ name: 'input', datatype: 'FP32', shape: [-1n, 64n] }],
        outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1n, 10n] }],
      },
    });
    await expect(mesh.store.registry.model('never')).rejects.toThrow(/not|does not exist/);
  });

  it('makes an artifact and no version where only that is asked for', async () => {
    const { version, artifactSha256, metrics } = success(
      await ended(await submit(specOf('unregistered', { artifactOnly: true, epochs: 1 }))),
    );
    expect(version).toBe('');
    expect(metrics['accuracy']).toBe(await accuracyOf(await mesh.store.artifacts.read(artifactSha256)));
    await expect(mesh.store.registry.model('unregistered')).rejects.toThrow(/unregistered/);
  });

  it('gives one job and one version for one id, and refuses the id for another spec', async () => {
    const spec = specOf('once', { epochs: 1 });
    expect(await submit(spec, 'one-job')).toBe('one-job');
    expect(await submit(spec, 'one-job')).toBe('one-job');
    await ended('one-job');
    expect(await submit(spec, 'one-job')).toBe('one-job');
    expect((await mesh.store.registry.model('once')).versions).toHaveLength(1);
    await expect(submit({ ...spec, seed: 9n }, 'one-job')).rejects.toMatchObject({
      code: status.ALREADY_EXISTS,
      details: "job 'one-job' exists with another spec",
    });
    expect((await mesh.call(methods.getTraining, { jobId: 'one-job' })).job).toMatchObject({ spec });
    expect((await mesh.call(methods.listTraining, {})).jobs[0]!.status!.jobId).toBe('one-job');
  });

  it('cancels a running job and one that waits: no version, no process, no checkpoint', async () => {
    const running = await submit(longOf('cancelled', { epochs: 100_000 }));
    const waiting = await submit(longOf('cancelled'));
    const { checkpoint } = await when(running, (job) => job.checkpoint !== undefined);
    expect(mesh.trainingProcesses()).toHaveLength(1);
    for (const jobId of [waiting, running]) {
      await mesh.call(methods.cancelTraining, { jobId });
      expect((await followed(jobId)).at(-1)!.status!.state).toMatchObject({ $case: 'cancelled' });
    }
    expect(mesh.trainingProcesses()).toEqual([]);
    const last = await mesh.store.jobs.get(running);
    for (const sha256 of [checkpoint!, last.checkpoint!]) expect(await mesh.store.artifacts.has(sha256)).toBe(false);
    await expect(mesh.store.registry.model('cancelled')).rejects.toThrow(/cancelled/);
    expect((await mesh.call(methods.cancelTraining, { jobId: 'one-job' })).job!.status!.state!.$case).toBe('succeeded');
  });

  describe('interrupted', () => {
    // one name for all: the graph in the file carries it
    const interruptible = longOf('interrupted', { artifactOnly: true });
    let whole: jobs.JobSucceeded;
    beforeAll(async () => {
      whole = success(await ended(await submit(interruptible)));
    });

    /** The step of every progress event that an attempt told, in order. */
    async function stepsOf(jobId: string, attempt: number): Promise<number[]> {
      const stop = new AbortController();
      const steps: number[] = [];
      let started = 0;
      for await (const { subject, data } of mesh.store.events.subscribe({
        filters: [`job.${jobId}.*`],
        start: { kind: 'after', sequence: 0n },
        signal: stop.signal,
      })) {
        if (subject.endsWith('.started')) started++;
        if (subject.endsWith('.progress') && started === attempt) steps.push(Number(data?.['step']));
        if (subject.endsWith('.succeeded')) stop.abort();
      }
      return steps;
    }

    const isQueued = ({ status: { state } }: JobRecord) => state?.$case === 'queued';
    const kill = (pids: readonly number[]) => pids.forEach((pid) => process.kill(pid, 'SIGKILL'));

    it.each<[string, (jobId: string) => Promise<unknown>]>([
      [
        'its process is killed',
        async (jobId) => {
          kill(mesh.trainingProcesses());
          await when(jobId, isQueued);
        },
      ],
      ['the service is killed', () => mesh.stop('SIGKILL')],
      ['the service shuts down', async () => expect(await mesh.stop()).toBe(0)],
    ])('goes on right after its checkpoint, to the very same file, when %s', async (how, interrupt) => {
      const jobId = await submit(interruptible);
      await when(jobId, (job) => job.checkpoint !== undefined);
      const [pid] = mesh.trainingProcesses();
      await interrupt(jobId);
      const { checkpoint } = await mesh.store.jobs.get(jobId);
      const { step } = readCheckpoint(await mesh.store.artifacts.read(checkpoint!)).standing;
      if (how !== 'its process is killed') await mesh.start();

      expect(success(await ended(jobId))).toEqual(whole);
      expect(step).toBeGreaterThan(0);
      expect((await stepsOf(jobId, 2))[0]).toBe(step + 1);
      expect(await mesh.store.artifacts.has(checkpoint!)).toBe(false);
      expect(() => process.kill(pid!, 0)).toThrow(/ESRCH/); // no training outlives its service
    });

    it('begins again where its checkpoint is gone', async () => {
      const jobId = await submit(interruptible);
      await when(jobId, (job) => job.checkpoint !== undefined);
      await mesh.stop();
      await mesh.store.artifacts.remove((await mesh.store.jobs.get(jobId)).checkpoint!);
      await mesh.start();
      expect(success(await ended(jobId))).toEqual(whole);
    });

    it('keeps to the version that a label meant when it began', async () => {
      const first = await register(mesh, 'moving', classifier(64, 10));
      const second = await register(mesh, 'moving', classifier(64, 10));
      const point = async ({ version }: registry.Version) => {
        await mesh.store.registry.settleAdmission('moving', version, { kind: 'admitted' });
        await mesh.store.registry.setLabel('moving', { name: 'stable', targets: [{ version, weight: 1 }] });
      };
      await point(first);
      const base = { source: { $case: 'version' as const, version: 'stable' } };
      const jobId = await submit(longOf('moving', { layers: [], base }));
      await when(jobId, (job) => job.checkpoint !== undefined);
      await point(second);
      kill(mesh.trainingProcesses());
      const { version } = success(await ended(jobId));
      const { lineage } = await mesh.store.registry.version('moving', version);
      expect(lineage).toMatchObject({ method: 'fine-tuned', parentVersion: '1' });
    });

    it('tells who watches that it goes on elsewhere when the service shuts down', async () => {
      const jobId = await submit(interruptible);
      await when(jobId, (job) => job.checkpoint !== undefined);
      const watching = followed(jobId);
      await mesh.stop();
      await expect(watching).rejects.toMatchObject({ code: status.UNAVAILABLE });
      await mesh.start();
      expect(success(await ended(jobId))).toEqual(whole);
    });
  });

  it.each<[string, Partial, RegExp]>([
    [
      'in the loss',
      { optimizer: sgd(1000), layers: [dense(64, 'relu'), dense(64, 'relu'), dense(10)] },
      /^the loss is (NaN|Infinity) at step \d+ of 132; the first tensor that is no number is .+: try a smaller learning rate/,
    ],
    [
      'in the last update, after a loss that was a number',
      {
        optimizer: sgd(1000),
        layers: [...Array<Layer>(20).fill(dense(64, 'relu')), dense(10)],
        batchSize: 1438,
        epochs: 1,
      },
      /^the loss of held-out examples is (NaN|Infinity) at step 1 of 1(; the first tensor .+)?: try a smaller learning rate/,
    ],
  ])('fails at the first try, with the step, where training diverges %s', async (_, changes, reason) => {
    const jobId = await submit(specOf('diverged', changes));
    const job = await ended(jobId);
    expect(job.status.state).toMatchObject({ failed: { reason: expect.stringMatching(reason) } });
    await expect(mesh.store.registry.model('diverged')).rejects.toThrow(/diverged/);
  });

  describe('refuses what does not fit', () => {
    beforeAll(async () => {
      await addDataset(mesh, 'unsplit', { splits: { ...splits, test: 0.1 } });
      await register(mesh, 'narrow', classifier(3, 10));
      await register(mesh, 'fewer', classifier(64, 9));
      await register(mesh, 'teacher', classifier(64, 10));
      await register(mesh, 'rejected', classifier(64, 10));
      await mesh.store.registry.settleAdmission('rejected', '1', { kind: 'rejected', reason: 'it hangs' });
    });
    const from = (version: string) => ({ layers: [], base: { source: { $case: 'version' as const, version } } });
    const taughtBy = (model: string, version = '1') => ({ distillation: { model, version } });
    const hinted = (teacher: string, student: string, loss = '') => ({
      distillation: { model: 'teacher', version: '1', features: [{ teacher, student, loss }] },
    });

    it.each<[string, string, Partial, status, RegExp]>([
      ['no such dataset', 'm', { data: { dataset: 'none' } }, status.NOT_FOUND, /^dataset 'none' does not exist/],
      ['no such version', 'm', { data: { dataset: 'digits', version: '9' } }, status.NOT_FOUND, /no version '9'/],
      ['splits that leave rows out', 'm', { data: { dataset: 'unsplit' } }, status.FAILED_PRECONDITION, /^dataset 'unsplit' .*0\.8, 0 and 0\.1/], // prettier-ignore
      ['a layer that does not fit', 'm', { layers: [dense(12), reshape(3n, 3n), dense(10)] }, status.INVALID_ARGUMENT, /^layers\[1\] \(reshape\) wants 9 .* got 12/], // prettier-ignore
      ['a last layer of another width', 'm', { layers: [dense(9)] }, status.INVALID_ARGUMENT, /gives \[9\] per example, wants \[10\]/], // prettier-ignore
      ['more memory than there is', 'm', { layers: [{ kind: { $case: 'reshape', reshape: { shape: [1n, 8n, 8n] } } }, { kind: { $case: 'conv2d', conv2d: { filters: 4096, kernel: [1] } } }, ...Array.from({ length: 900 }, () => ({ kind: { $case: 'activation' as const, activation: { function: 'relu' } } })), { kind: { $case: 'flatten', flatten: {} } }, dense(10)], batchSize: 1024 }, status.INVALID_ARGUMENT, /about \d+\.\d GiB of memory, the limit is \d+\.\d GiB: try a batch_size smaller than 1024/], // prettier-ignore
      ['more weights than it takes', 'm', { layers: [dense(65_536), dense(65_536), dense(10)] }, status.INVALID_ARGUMENT, /more than 67108864 parameters/], // prettier-ignore
      ['more layers than it takes', 'm', { layers: Array<Layer>(1001).fill(dense(10)) }, status.INVALID_ARGUMENT, /^layers has 1001 layers, wants at most 1000/], // prettier-ignore
      ['a batch larger than the split', 'm', { batchSize: 2000 }, status.INVALID_ARGUMENT, /^batch_size is 2000, .* 1438 rows/], // prettier-ignore
      ['a loss for numbers', 'm', { loss: 'mse' }, status.INVALID_ARGUMENT, /^loss is 'mse', .*10 classes, wants cross_entropy/], // prettier-ignore
      ['a group of no weight', 'm', { optimizer: { groups: [{ weights: ['*.bias', 'head.*'] }] } }, status.INVALID_ARGUMENT, /^optimizer.groups\[0\].weights\[1\] is 'head.\*', which names no weight: there are layer0.weight/], // prettier-ignore
      ['a metric of numbers', 'm', { metrics: ['accuracy', 'r2'] }, status.INVALID_ARGUMENT, /^metrics name 'r2', which says nothing of a target of 10 classes/], // prettier-ignore
      ['to stop by what is not measured', 'm', { earlyStopping: { metric: 'f1' } }, status.INVALID_ARGUMENT, /^early_stopping.metric is 'f1', what is measured is loss, accuracy/], // prettier-ignore
      ['a provider that finds no device', 'm', { provider: 'webgpu' }, status.FAILED_PRECONDITION, /^provider is 'webgpu', which this trainer cannot use: it finds no device$/], // prettier-ignore
      ['an engine it does not know', 'm', { engine: 'torch' }, status.INVALID_ARGUMENT, /^engine is 'torch', wants one of onnx, tfjs$/], // prettier-ignore
      ['a provider that an engine has not', 'm', { engine: 'tfjs', provider: 'webgpu' }, status.INVALID_ARGUMENT, /^engine is 'tfjs', which trains on the cpu, but provider is 'webgpu'$/], // prettier-ignore
      ['a provider it does not know', 'm', { provider: 'tpu' }, status.INVALID_ARGUMENT, /^provider is 'tpu', wants one of cpu, webgpu, cuda$/], // prettier-ignore
      ['no such base', 'narrow', from('7'), status.NOT_FOUND, /^model 'narrow' has no version or label '7'/],
      ['a base of other features', 'narrow', from('1'), status.INVALID_ARGUMENT, /^the base takes \[3\] .* \[64\]/],
      ['a base of other classes', 'fewer', from('1'), status.INVALID_ARGUMENT, /gives \[9\] per example, wants \[10\]/],
      ['a rejected base', 'rejected', from('1'), status.FAILED_PRECONDITION, /rejected: it hangs/],
      ['no such teacher', 'm', taughtBy('nobody'), status.NOT_FOUND, /^model 'nobody' has no version or label '1'/],
      ['a teacher of other classes', 'm', taughtBy('fewer'), status.INVALID_ARGUMENT, /^the teacher 'fewer' gives 9/],
      ['a teacher of other features', 'm', taughtBy('narrow'), status.INVALID_ARGUMENT, /^the teacher 'narrow' takes/],
      ['a feature the teacher has not', 'm', hinted('layer7', 'layer0'), status.INVALID_ARGUMENT, /^distillation\.features\[0\]\.teacher is 'layer7', the teacher has scores, probabilities$/], // prettier-ignore
      ['a feature the student has not', 'm', hinted('scores', 'hint'), status.INVALID_ARGUMENT, /^distillation\.features\[0\]\.student is 'hint', the student has layer0, layer0\.relu, layer1, output$/], // prettier-ignore
      ['a feature by an unknown loss', 'm', hinted('scores', 'layer0', 'l1'), status.INVALID_ARGUMENT, /^distillation\.features\[0\]\.loss is 'l1', wants one of mse, cosine, attention/], // prettier-ignore
      ['features that do not fit', 'm', hinted('scores', 'layer0', 'attention'), status.INVALID_ARGUMENT, /^distillation\.features do not fit: 'layer0' is \[64,32\] .* attention wants maps/], // prettier-ignore
      ['pruning of what is no matrix', 'teacher', { ...from('1'), pruning: { groups: [{ weights: ['w', 'head.weight'], finalSparsity: 0.5 }] } }, status.INVALID_ARGUMENT, /^pruning names 'head\.weight', which is no matrix or kernel that is trained: there are w$/], // prettier-ignore
      ['a rejected teacher', 'm', taughtBy('rejected'), status.FAILED_PRECONDITION, /rejected: it hangs/],
    ])('%s', async (_, model, changes, code, details) => {
      const refusal = { code, details: expect.stringMatching(details) };
      await expect(validate(specOf(model, changes))).rejects.toMatchObject(refusal);
      await expect(submit(specOf(model, changes))).rejects.toMatchObject(refusal);
    });

    it('a base that is no ONNX model, or no artifact', async () => {
      const { artifactSha256 } = await mesh.store.datasets.version('digits', '');
      const base = (sha256: string) => ({ source: { $case: 'artifactSha256' as const, artifactSha256: sha256 } });
      await expect(validate(specOf('m', { layers: [], base: base(artifactSha256) }))).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringMatching(/^the base cannot be trained: /),
      });
      await expect(validate(specOf('m', { layers: [], base: base('f'.repeat(64)) }))).rejects.toMatchObject({
        code: status.NOT_FOUND,
      });
    });

    it('no spec, no such job, and a name that is none', async () => {
      await expect(validate(undefined)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
      await expect(submit(specOf('m'), 'a/b')).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
      for (const method of [methods.getTraining, methods.cancelTraining]) {
        await expect(mesh.call(method, { jobId: 'nobodys' })).rejects.toMatchObject({
          code: status.NOT_FOUND,
          details: "training job 'nobodys' does not exist",
        });
      }
      await expect(followed('nobodys')).rejects.toMatchObject({ code: status.NOT_FOUND });
    });
  });

  it('ends in good time when NATS is gone for good', async () => {
    await mesh.killNats();
    const began = performance.now();
    expect(await mesh.stop()).toBe(0);
    expect(performance.now() - began).toBeLessThan(45_000);
  });
});
