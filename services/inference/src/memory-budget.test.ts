import { Metadata, status } from '@grpc/grpc-js';
import { inference, registry } from '@modelmill/contracts';
import { attribute, emptyGraph, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Graph } from '@modelmill/onnx';
import { call, event, point, register, startServing } from './start-for-tests.js';
import type { Line, Serving } from './start-for-tests.js';
import { memoryBytesOf } from './version-description.js';

jest.setTimeout(120_000);

const service = inference.GRPCInferenceServiceService;
const runners = 2;
const inMemory = 5;
const weights = 2 ** 18;

/** y [n, 4] is `value` wherever x [n, 4] is 1, and carries so many numbers of 4 bytes. */
function constant(value: number, numbers = weights): Uint8Array {
  const graph = emptyGraph('constant');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 4] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n', 4] }];
  graph.initializers.set('w', floatTensor('w', [4, numbers / 4], new Float32Array(numbers)));
  graph.initializers.set('axes', int64Tensor('axes', [1], [1]));
  graph.initializers.set('v', floatTensor('v', [1], [value]));
  graph.nodes = [
    makeNode('MatMul', ['x', 'w'], ['product']),
    makeNode('ReduceSum', ['product', 'axes'], ['sum'], { keepdims: attribute(1) }),
    makeNode('Mul', ['x', 'sum'], ['zeros']),
    makeNode('Add', ['zeros', 'v'], ['y']),
  ];
  return fileOf(graph);
}

/** A square x, multiplied by itself many times: at once where it is small, and for long where it is not. */
function slow(times: number): Uint8Array {
  const graph = emptyGraph('slow');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 'n'] }];
  graph.outputs = [{ name: `v${times}`, dataType: 'float', shape: ['n', 'n'] }];
  graph.nodes = Array.from({ length: times }, (_, i) =>
    makeNode('MatMul', [i === 0 ? 'x' : `v${i}`, 'x'], [`v${i + 1}`]),
  );
  return fileOf(graph);
}

function fileOf(graph: Graph): Uint8Array {
  const opsets = new Map([['', 18]]);
  return writeOnnx({ irVersion: 8, opsets, producer: '', metadata: new Map(), graph, functions: [] });
}

const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1n, 4n] });
const signature: registry.Signature = { inputs: [tensor('x')], outputs: [tensor('y')] };
const bytesOf = (model: Uint8Array, inRunners = runners) =>
  memoryBytesOf(registry.Version.fromPartial({ sizeBytes: BigInt(model.byteLength) }), inRunners);

/** Registers a version and points `stable` at it. */
async function serve(mesh: Serving, model: string, content: Uint8Array, of = signature): Promise<string> {
  const version = await register(mesh, model, content, of);
  await event(mesh, `model.${model}.${version}.admitted`);
  await point(mesh, model, version);
  return version;
}

const rows = Buffer.from(Float32Array.of(1, 1, 1, 1).buffer).toString('base64');
async function ask(mesh: Serving, modelName: string, more: object = {}): Promise<number> {
  const json = { modelName, inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', '4'] }], rawInputContents: [rows] };
  const answer = await call(mesh, service.modelInfer, inference.ModelInferRequest.fromJSON({ ...json, ...more }));
  return answer.rawOutputContents[0]!.readFloatLE(0);
}

const index = async (mesh: Serving) =>
  (await call(mesh, service.repositoryIndex, { repositoryName: '', ready: false })).models;

const metric = async (mesh: Serving, name: string) =>
  Number(new RegExp(`^${name} (.*)$`, 'm').exec(await mesh.metrics())?.[1]);

const linesOf = ({ lines }: Serving, event: string): Line[] => lines.filter((line) => line['event'] === event);

describe('a replica with memory for five models', () => {
  const names = Array.from({ length: 20 }, (_, i) => `m${i}`);
  const lastMoved = ['m2', 'm7', 'm11', 'm13', 'm19'];
  const budget = inMemory * bytesOf(constant(0));
  let mesh: Serving;
  beforeAll(async () => {
    const env = {
      MILL_RUNNERS: String(runners),
      MILL_MODEL_MEMORY_BYTES: String(budget),
      MILL_MAX_BATCH: '4',
    };
    mesh = await startServing(env, async (store) => {
      for (const [i, name] of names.entries()) {
        await register({ store }, name, constant(i), signature);
        await store.registry.settleAdmission(name, '1', { kind: 'admitted' });
        await point({ store }, name, '1');
      }
      for (const name of lastMoved) await point({ store }, name, '1');
    });
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('starts with those in memory whose labels moved last', async () => {
    const all = await index(mesh);
    const present = all.filter(({ reason }) => reason === '').map(({ name }) => name);
    expect(present.sort()).toEqual([...lastMoved].sort());
    expect(linesOf(mesh, 'model ready').filter(({ cold }) => cold === true)).toHaveLength(names.length - inMemory);
    expect(await metric(mesh, 'mill_model_evictions_total')).toBe(0);
    expect(await metric(mesh, 'mill_inference_models_loaded')).toBe(inMemory);
    expect(await metric(mesh, 'mill_inference_models_cold')).toBe(names.length - inMemory);
    const announced = async () => {
      const [replica] = await mesh.store.replicas.list('inference');
      const warm = replica!.models.filter(({ cold }) => cold !== true).map(({ model }) => model);
      return warm.sort().join();
    };
    while ((await announced()) !== [...lastMoved].sort().join())
      await new Promise((resolve) => setTimeout(resolve, 50));
  });

  it('answers for twenty, one after the other and all at once', async () => {
    for (const [i, name] of names.entries()) expect(await ask(mesh, name)).toBe(i);
    const together = await Promise.all(names.flatMap((name) => [ask(mesh, name), ask(mesh, name)]));
    expect(together).toEqual(names.flatMap((_, i) => [i, i]));
    expect(await metric(mesh, 'mill_inference_models_loaded')).toBeLessThanOrEqual(inMemory);
    expect(await metric(mesh, 'mill_model_memory_bytes')).toBeLessThanOrEqual(budget);
    expect(await metric(mesh, 'mill_model_memory_budget_bytes')).toBe(budget);
    expect(await metric(mesh, 'mill_model_evictions_total')).toBeGreaterThanOrEqual(2 * (names.length - inMemory));
    const coldLoads = await metric(mesh, 'mill_model_cold_load_seconds_count');
    expect(coldLoads).toBe(linesOf(mesh, 'model loaded').length);
    expect(await metric(mesh, 'mill_model_cold_load_seconds_sum')).toBeGreaterThan(0);
  });

  it('loads once for all who wait', async () => {
    const cold = (await index(mesh)).find(({ reason }) => reason !== '')!.name;
    const before = linesOf(mesh, 'model loaded').length;
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(mesh, cold)));
    expect(new Set(answers)).toEqual(new Set([names.indexOf(cold)]));
    expect(linesOf(mesh, 'model loaded')).toHaveLength(before + 1);
  });

  it('tells of what is not in memory without loading it', async () => {
    const before = linesOf(mesh, 'model loaded').length;
    const all = await index(mesh);
    expect(all.map(({ state }) => state)).toEqual(names.map(() => 'READY'));
    const cold = all.filter(({ reason }) => reason === 'not in memory: its next request loads it');
    expect(cold.length).toBeGreaterThanOrEqual(names.length - inMemory);
    for (const { name } of cold) {
      expect(await call(mesh, service.modelReady, { name, version: '' })).toEqual({ ready: true });
      expect(await call(mesh, service.modelMetadata, { name, version: 'stable' })).toMatchObject(signature);
      const { config } = await call(mesh, service.modelConfig, { name, version: '1' });
      expect(config).toMatchObject({ name, maxBatchSize: 4 });
      const { modelStats } = await call(mesh, service.modelStatistics, { name, version: '' });
      expect(modelStats).toMatchObject([{ name, memoryUsage: [] }]);
      expect(modelStats[0]!.inferenceCount).toBeGreaterThan(1n); // what it answered before it was unloaded
    }
    expect(linesOf(mesh, 'model loaded')).toHaveLength(before);
  });

  it('refuses a request that does not fit without loading for it', async () => {
    const before = linesOf(mesh, 'model loaded').length;
    const cold = (await index(mesh)).find(({ reason }) => reason !== '')!.name;
    const wrong = { inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', '5'] }] };
    await expect(ask(mesh, cold, wrong)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(linesOf(mesh, 'model loaded')).toHaveLength(before);
  });

  it('keeps what is used most, and loads what it is told to', async () => {
    const [first, second] = names as [string, string];
    for (const other of names.slice(10)) {
      await ask(mesh, first);
      await ask(mesh, other);
    }
    expect((await index(mesh)).find(({ name }) => name === first)).toMatchObject({ state: 'READY', reason: '' });
    await call(mesh, service.repositoryModelLoad, { repositoryName: '', modelName: second, parameters: {} });
    const { modelStats } = await call(mesh, service.modelStatistics, { name: second, version: '' });
    expect(modelStats[0]!.memoryUsage).toEqual([{ type: 'CPU', id: 0n, byteSize: BigInt(bytesOf(constant(0))) }]);
  });

  it('refuses a model beyond all of it with both figures, and the others go on', async () => {
    const huge = constant(-1, 10 * weights);
    await serve(mesh, 'huge', huge);
    await event(mesh, 'model.huge.1.failed');
    const details =
      `model 'huge' version 1 takes ${bytesOf(huge)} bytes of memory in ${runners} runners, ` +
      `and MILL_MODEL_MEMORY_BYTES allows ${budget}`;
    await expect(ask(mesh, 'huge')).rejects.toMatchObject({ code: status.FAILED_PRECONDITION, details });
    await expect(ask(mesh, 'huge', { modelVersion: '1' })).rejects.toMatchObject({ details });
    expect(await call(mesh, service.modelReady, { name: 'huge', version: '' })).toEqual({ ready: false });
    expect((await index(mesh)).find(({ name }) => name === 'huge')).toMatchObject({
      state: 'UNAVAILABLE',
      reason: details,
    });
    expect(await ask(mesh, 'm0')).toBe(0);
  });

  it('ends with code 0 when it is asked to', async () => {
    expect(await mesh.stop()).toBe(0);
  });
});

describe('a replica with memory for one model', () => {
  const slowModel = slow(300);
  let mesh: Serving;
  beforeAll(async () => {
    mesh = await startServing({
      MILL_RUNNERS: '1',
      MILL_RUNNER_THREADS: '1',
      MILL_MODEL_MEMORY_BYTES: String(bytesOf(constant(0), 1) + 1000),
    });
    await serve(mesh, 'quick', constant(1));
    await event(mesh, 'model.quick.1.ready');
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('moves a label under load to a version that has no room beside the old one, and loses no request', async () => {
    let over = false;
    const seen: number[] = [];
    const lost: unknown[] = [];
    const callers = Array.from({ length: 4 }, async () => {
      while (!over) await ask(mesh, 'quick').then((value) => seen.push(value), (error: unknown) => lost.push(error)); // prettier-ignore
    });
    for (const value of [2, 3]) {
      const version = await serve(mesh, 'quick', constant(value));
      await event(mesh, `model.quick.${version}.ready`);
      await event(mesh, `model.quick.${Number(version) - 1}.unloaded`);
      while (seen.at(-1) !== value) await ask(mesh, 'quick');
    }
    over = true;
    await Promise.all(callers);
    expect(lost).toEqual([]);
    expect(new Set(seen)).toEqual(new Set([1, 2, 3]));
    expect(linesOf(mesh, 'model postponed').map(({ version }) => version)).toEqual(['2', '3']);
    expect(await metric(mesh, 'mill_inference_models_loaded')).toBe(1);
  });

  it('tells who waited too long for a load, loads all the same, and unloads nothing that is at work', async () => {
    const square = (name: string) => ({ name, datatype: 'FP32', shape: [-1n, -1n] });
    await serve(mesh, 'slow', slowModel, { inputs: [square('x')], outputs: [square('v300')] });
    await event(mesh, 'model.slow.1.ready');
    const work = (size: number) => {
      const [shape, zeros] = [[String(size), String(size)], Buffer.alloc(4 * size * size).toString('base64')];
      const json = {
        modelName: 'slow',
        inputs: [{ name: 'x', datatype: 'FP32', shape }],
        rawInputContents: [zeros],
      };
      return call(mesh, service.modelInfer, inference.ModelInferRequest.fromJSON(json));
    };
    let fastestMs = Infinity; // one that was held up would make three seconds out to be one
    for (let i = 0; i < 5; i++) {
      const begun = performance.now();
      await work(200);
      fastestMs = Math.min(fastestMs, performance.now() - begun);
    }
    const threeSeconds = Math.ceil(200 * Math.cbrt(3_000 / fastestMs));
    const before = mesh.lines.length;
    const working = work(threeSeconds);
    const impatient = new Promise((resolve, reject) => {
      const json = { modelName: 'quick', inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', '4'] }], rawInputContents: [rows] }; // prettier-ignore
      const deadline = Date.now() + 1_000;
      mesh.client.modelInfer(
        inference.ModelInferRequest.fromJSON(json),
        new Metadata(),
        { deadline },
        (error, answer) => (error === null ? resolve(answer) : reject(error)),
      );
    });
    await expect(impatient).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect((await working).outputs).toHaveLength(1);
    expect(await mesh.logged('model loaded', before)).toMatchObject({ model: 'quick', version: '3' });
    expect(await ask(mesh, 'quick')).toBe(3);
  });
});
