import { status } from '@grpc/grpc-js';
import { inference, registry } from '@modelmill/contracts';
import { attribute, emptyGraph, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import { call, event, point, register, startServing } from './start-for-tests.js';
import type { Line, Serving } from './start-for-tests.js';
import { memoryBytesOf } from './version-description.js';

jest.setTimeout(60_000);

const service = inference.GRPCInferenceServiceService;
const runners = 2;
const inMemory = 3;
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
  const opsets = new Map([['', 18]]);
  return writeOnnx({ irVersion: 8, opsets, producer: '', metadata: new Map(), graph, functions: [] });
}

const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1n, 4n] });
const signature: registry.Signature = { inputs: [tensor('x')], outputs: [tensor('y')] };
const bytesOf = (model: Uint8Array) =>
  memoryBytesOf(registry.Version.fromPartial({ sizeBytes: BigInt(model.byteLength) }), runners);

/** Registers a version and points `stable` at it. */
async function serve(mesh: Serving, model: string, content: Uint8Array): Promise<string> {
  const version = await register(mesh, model, content, signature);
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

describe('a replica with memory for three models', () => {
  const names = Array.from({ length: 12 }, (_, i) => `m${i}`);
  const budget = inMemory * bytesOf(constant(0));
  let mesh: Serving;
  beforeAll(async () => {
    mesh = await startServing({
      MILL_RUNNERS: String(runners),
      MILL_MODEL_MEMORY_BYTES: String(budget),
      MILL_MAX_BATCH: '4',
    });
    for (const [i, name] of names.entries()) await serve(mesh, name, constant(i));
    for (const name of names) await event(mesh, `model.${name}.1.ready`);
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('answers for twelve, one after the other and all at once', async () => {
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
    for (const other of names.slice(4)) {
      await ask(mesh, first);
      await ask(mesh, other);
    }
    expect((await index(mesh)).find(({ name }) => name === first)).toMatchObject({ state: 'READY', reason: '' });
    await call(mesh, service.repositoryModelLoad, { repositoryName: '', modelName: second, parameters: {} });
    const { modelStats } = await call(mesh, service.modelStatistics, { name: second, version: '' });
    expect(modelStats[0]!.memoryUsage).toEqual([{ type: 'CPU', id: 0n, byteSize: BigInt(bytesOf(constant(0))) }]);
  });

  it('refuses a model beyond all of it with both figures, and the others go on', async () => {
    const huge = constant(-1, 5 * weights);
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
