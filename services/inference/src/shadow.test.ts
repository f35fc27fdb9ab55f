import { setTimeout as pause } from 'node:timers/promises';
import { inference, registry, serving } from '@modelmill/contracts';
import { attribute, emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import { call, event, register, startServing } from './start-for-tests.js';
import type { Serving } from './start-for-tests.js';

jest.setTimeout(120_000);

const width = 128;

/** y [rows, 128] are rows x of a table, after `depth` products; an x beyond its rows cannot be run. */
function lookup(tableRows: number, depth = 0, rows: string | number = 'n'): Uint8Array {
  const graph = emptyGraph('lookup');
  graph.inputs = [{ name: 'x', dataType: 'int64', shape: [rows] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [rows, width] }];
  const table = Float32Array.from({ length: tableRows * width }, (_, i) => Math.sin(i));
  graph.initializers.set('table', floatTensor('table', [tableRows, width], table));
  graph.initializers.set('w', floatTensor('w', [width, width], new Float32Array(width * width).fill(1 / width)));
  const products = Array.from({ length: depth }, (_, i) => makeNode('MatMul', [`h${i}`, 'w'], [`h${i + 1}`]));
  graph.nodes = [
    makeNode('Gather', ['table', 'x'], ['h0'], { axis: attribute(0) }),
    ...products,
    makeNode('Identity', [`h${depth}`], ['y']),
  ];
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  });
}

/** Versions 1 and 2 of a model, and a label that has the first one answer and the second one follow. */
async function shadowed(mesh: Serving, model: string, files: Uint8Array[], share = 1, rows = -1n): Promise<void> {
  const signature = {
    inputs: [{ name: 'x', datatype: 'INT64', shape: [rows] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [rows, BigInt(width)] }],
  };
  for (const bytes of files) {
    const version = await register(mesh, model, bytes, signature);
    await event(mesh, `model.${model}.${version}.admitted`);
  }
  const targets = [{ version: '1', weight: 1 }];
  await mesh.store.registry.setLabel(model, {
    name: 'stable',
    targets,
    shadow: registry.Shadow.fromPartial({ version: '2', share }),
  });
  for (const version of ['1', '2']) await event(mesh, `model.${model}.${version}.ready`);
}

const ask = (mesh: Serving, modelName: string, index: number, more: Partial<inference.ModelInferRequest> = {}) => {
  const inputs = [{ name: 'x', datatype: 'INT64', shape: [1n], contents: { int64Contents: [BigInt(index)] } }];
  const request = inference.ModelInferRequest.fromPartial({ modelName, inputs, ...more });
  return call(mesh, inference.GRPCInferenceServiceService.modelInfer, request);
};

const comparisonOf = async (mesh: Serving, model: string) =>
  (await call(mesh, serving.ServingService.getShadowComparison, { model, label: 'stable' })).comparison!;

/** When nothing waits or runs any more. */
async function settled(mesh: Serving, model: string): Promise<serving.ShadowComparison> {
  for (;;) {
    const told = await comparisonOf(mesh, model);
    const dropped = Object.values(told.dropped).reduce((sum, count) => sum + count, 0n);
    if (told.compared + told.failed + dropped === told.picked) return told;
    await pause(20);
  }
}

describe('a shadow', () => {
  let mesh: Serving;
  beforeAll(async () => {
    mesh = await startServing();
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('that fails is counted, and callers hear nothing of it', async () => {
    await shadowed(mesh, 'failing', [lookup(64), lookup(32)]);
    for (let index = 0; index < 64; index++) {
      const { modelVersion } = await ask(mesh, 'failing', index);
      expect(modelVersion).toBe('1');
    }
    const told = await settled(mesh, 'failing');
    expect(told).toMatchObject({ answered: 64n, picked: 64n, compared: 32n, failed: 32n });
    expect(told.lastFailure).toContain("model 'failing' version 2 could not run this request");
    expect(told.outputs).toMatchObject([
      { name: 'y', elements: BigInt(32 * width), equalElements: BigInt(32 * width) },
    ]);
    const metrics = await mesh.metrics();
    const of = 'model="failing",label="stable",version="2"';
    expect(metrics).toContain(`mill_shadow_requests_total{${of},result="compared"} 32`);
    expect(metrics).toContain(`mill_shadow_requests_total{${of},result="failed"} 32`);
    expect(metrics).toContain(`mill_shadow_agreeing_rows_total{${of},output="y"} 32`);
    expect(metrics).toContain(`mill_shadow_execution_seconds_count{${of},side="shadow"} 32`);
  });

  it('has its share of the requests, and none that names a version or fails', async () => {
    await shadowed(mesh, 'shared', [lookup(64), lookup(64)], 0.2);
    for (let index = 0; index < 50; index++) await ask(mesh, 'shared', index);
    for (let index = 0; index < 10; index++) await ask(mesh, 'shared', index, { modelVersion: '1' });
    expect(await settled(mesh, 'shared')).toMatchObject({ answered: 50n, picked: 10n, compared: 10n });
    for (let index = 0; index < 10; index++) await expect(ask(mesh, 'shared', 1000)).rejects.toThrow('could not run');
    expect(await settled(mesh, 'shared')).toMatchObject({ answered: 50n, picked: 10n, failed: 0n });
  });

  it('is compared by its scores where the caller wants classes, and by the outputs that were asked for', async () => {
    await shadowed(mesh, 'classes', [lookup(64), lookup(64)]);
    const classification = { parameterChoice: { $case: 'int64Param' as const, int64Param: 2n } };
    const { outputs } = await ask(mesh, 'classes', 3, { outputs: [{ name: 'y', parameters: { classification } }] });
    expect(outputs).toMatchObject([{ name: 'y', datatype: 'BYTES', shape: [1n, 2n] }]);
    const told = await settled(mesh, 'classes');
    expect(told.outputs).toMatchObject([{ datatype: 'FP32', compared: 1n, elements: BigInt(width), agreeingRows: 1n }]);
  });

  it('that is slow keeps nobody waiting: what it can not follow is dropped, and it goes when the label lets it', async () => {
    // rows of one at a time, so that it gains nothing by batches
    await shadowed(mesh, 'slow', [lookup(64, 0, 1), lookup(64, 4000, 1)], 1, 1n);
    const versions = new Set<string>();
    for (let index = 0; index < 600; index++) versions.add((await ask(mesh, 'slow', index % 64)).modelVersion);
    expect(versions).toEqual(new Set(['1']));
    const told = await comparisonOf(mesh, 'slow');
    expect(told.answered).toBe(600n);
    expect(told.waiting).toBeGreaterThan(100n); // nobody waited for these
    expect(told.dropped['busy']).toBeGreaterThan(0n);
    await mesh.store.registry.setLabel('slow', { name: 'stable', targets: [{ version: '1', weight: 1 }] });
    await event(mesh, 'model.slow.2.unloaded');
    await expect(comparisonOf(mesh, 'slow')).rejects.toThrow("label 'stable' of model 'slow' has no shadow");
    expect((await ask(mesh, 'slow', 1)).modelVersion).toBe('1');
  });

  it('never answers, also where no version or label is named and it is the newest that is loaded', async () => {
    await shadowed(mesh, 'newest', [lookup(64), lookup(64)]);
    const shadow = registry.Shadow.fromPartial({ version: '2', share: 1 });
    await mesh.store.registry.setLabel('newest', { name: 'other', targets: [{ version: '1', weight: 1 }], shadow });
    await mesh.store.registry.deleteLabel('newest', 'stable');
    for (;;) {
      const told = await call(mesh, serving.ServingService.getShadowComparison, { model: 'newest', label: 'stable' })
        .then(() => 'there')
        .catch(() => 'gone');
      if (told === 'gone') break;
      await pause(20);
    }
    expect((await ask(mesh, 'newest', 1)).modelVersion).toBe('1');
    expect((await ask(mesh, 'newest', 1, { modelVersion: '2' })).modelVersion).toBe('2');
  });
});

it('a shadow that takes too long fails that once, rests, and its runner is replaced without anyone noticing', async () => {
  await using mesh = await startServing({ MILL_REQUEST_TIMEOUT_MS: '2000', MILL_RUNNER_THREADS: '1' });
  await shadowed(mesh, 'long', [lookup(64), lookup(64, 2000)]);
  const rows = 8000; // 262 billion multiplications for the shadow
  const inputs = [{ name: 'x', datatype: 'INT64', shape: [BigInt(rows)], contents: undefined, parameters: {} }];
  const rawInputContents = [Buffer.alloc(8 * rows)];
  expect((await ask(mesh, 'long', 0, { inputs, rawInputContents })).modelVersion).toBe('1');
  const told = await settled(mesh, 'long');
  expect(told).toMatchObject({ picked: 1n, compared: 0n, failed: 1n });
  expect(told.lastFailure).toContain("model 'long' version 2 was stopped");
  for (let index = 0; index < 10; index++) expect((await ask(mesh, 'long', index)).modelVersion).toBe('1');
  expect(await settled(mesh, 'long')).toMatchObject({ picked: 11n, failed: 1n, dropped: { resting: 10n } });
});

it('a shadow that the memory budget has no room for is not loaded, and nothing leaves for it', async () => {
  const file = lookup(4096); // 2 MB
  await using mesh = await startServing({
    MILL_MODEL_MEMORY_BYTES: String(2 * (2 * file.byteLength + 2 ** 20) + 2 ** 22),
  });
  await shadowed(mesh, 'large', [file, lookup(4096)]);
  for (let index = 0; index < 20; index++) expect((await ask(mesh, 'large', index)).modelVersion).toBe('1');
  expect(await settled(mesh, 'large')).toMatchObject({ picked: 20n, compared: 0n, dropped: { not_in_memory: 20n } });
  expect(await mesh.metrics()).toContain('mill_model_evictions_total 0');
});
