import type { events } from '@modelmill/contracts';
import { inference, registry } from '@modelmill/contracts';
import { attribute, emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import { call, startServing } from './start-for-tests.js';
import type { Serving } from './start-for-tests.js';

jest.setTimeout(120_000);

/** y [n, 256] are rows x of a table, after `depth` products; an x beyond its rows cannot be run. */
function lookup(rows: number, depth = 0): Uint8Array {
  const graph = emptyGraph('lookup');
  graph.inputs = [{ name: 'x', dataType: 'int64', shape: ['n'] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n', 256] }];
  graph.initializers.set('table', floatTensor('table', [rows, 256], new Float32Array(256 * rows).fill(0.5)));
  graph.initializers.set('w', floatTensor('w', [256, 256], new Float32Array(256 * 256).fill(1 / 256)));
  const products = Array.from({ length: depth }, (_, i) => makeNode('MatMul', [`h${i}`, 'w'], [`h${i + 1}`]));
  graph.nodes = [
    makeNode('Gather', ['table', 'x'], ['h0'], { axis: attribute(0) }),
    ...products,
    makeNode('Relu', [`h${depth}`], ['y']),
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

const signature = {
  inputs: [{ name: 'x', datatype: 'INT64', shape: [-1n] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1n, 256n] }],
};

/** The first event with this subject, from the beginning of the stream. */
async function event({ store }: Serving, subject: string): Promise<events.Event> {
  const stop = new AbortController();
  const start = { kind: 'after', sequence: 0n } as const;
  for await (const found of store.events.subscribe({ filters: [subject], start, signal: stop.signal })) {
    stop.abort();
    return found;
  }
  throw new Error(`no event ${subject}`);
}

const lineage = registry.Lineage.fromPartial({ method: 'uploaded' });

/** Versions 1, 2, … of a model, loaded, and the label `stable` with a rule. */
async function onTrial(mesh: Serving, model: string, files: Uint8Array[], rule: Partial<registry.RollBackRule>) {
  for (const [index, bytes] of files.entries()) {
    const artifact = await mesh.store.artifacts.put(bytes);
    await mesh.store.registry.registerVersion({ model, artifact, signature, lineage, metrics: {} });
    await event(mesh, `model.${model}.${index + 1}.admitted`);
  }
  await mesh.store.registry.setLabel(model, {
    name: 'stable',
    targets: files.map((_, index) => ({ version: String(index + 1), weight: files.length - index })),
    rollBack: registry.RollBackRule.fromPartial(rule),
  });
  for (const index of files.keys()) await event(mesh, `model.${model}.${index + 1}.ready`);
}

/** Asks for this row by the label; the version that answered, or its error. */
async function ask(mesh: Serving, modelName: string, index: number): Promise<string> {
  const request = inference.ModelInferRequest.fromPartial({
    modelName,
    inputs: [{ name: 'x', datatype: 'INT64', shape: [1n], contents: { int64Contents: [BigInt(index)] } }],
  });
  try {
    return (await call(mesh, inference.GRPCInferenceServiceService.modelInfer, request)).modelVersion;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Asks for rows in turn until it is over, four at a time; the answers. */
async function askUntil(mesh: Serving, model: string, over: () => boolean): Promise<string[]> {
  const answers: string[] = [];
  let next = 0;
  const caller = async () => {
    while (!over()) answers.push(await ask(mesh, model, next++ % 64));
  };
  await Promise.all([caller(), caller(), caller(), caller()]);
  return answers;
}

async function untilRolledBack(mesh: Serving, model: string): Promise<{ data: object; answers: string[] }> {
  let data: object | undefined;
  const told = event(mesh, `model.${model}.2.rolled-back`).then((found) => (data = found.data!));
  const answers = await askUntil(mesh, model, () => data !== undefined);
  return { data: await told, answers };
}

const labelOf = async (mesh: Serving, model: string) => (await mesh.store.registry.model(model)).labels[0]!;

let mesh: Serving;
beforeAll(async () => {
  mesh = await startServing();
});
afterAll(() => mesh[Symbol.asyncDispose]());

it('a version that cannot run what the other can loses its share of the label, and nobody fails any more', async () => {
  await onTrial(mesh, 'failing', [lookup(64), lookup(32)], { maxErrorShare: 0.1, afterRequests: 40 });
  const { data, answers } = await untilRolledBack(mesh, 'failing');
  expect(data).toMatchObject({ model: 'failing', version: '2', label: 'stable', to: '1' });
  const failures = answers.filter((answer) => answer !== '1' && answer !== '2');
  expect(failures.length).toBeGreaterThan(5);
  expect(new Set(failures.map((text) => text.slice(0, 51)))).toEqual(
    new Set(["3 INVALID_ARGUMENT: model 'failing' version 2 could"]),
  );
  const label = await labelOf(mesh, 'failing');
  expect(label).toMatchObject({ targets: [{ version: '1', weight: 1 }], rolledBack: { version: '2' } });
  expect(label.rolledBack!.reason).toMatch(
    /^version 2 could not run \d+ of \d+ requests, version 1 0 of \d+: at least 0\./,
  );
  expect(await mesh.logged('label rolled back')).toMatchObject({ model: 'failing', label: 'stable', version: '2' });
  await event(mesh, 'model.failing.2.unloaded');
  let asked = 0;
  expect(new Set(await askUntil(mesh, 'failing', () => asked++ >= 128))).toEqual(new Set(['1']));
  expect(await mesh.metrics()).toContain('mill_label_roll_backs_total{model="failing",label="stable",version="2"} 1');
});

it('a version that computes much longer is rolled back, with the figures', async () => {
  await onTrial(mesh, 'slow', [lookup(64, 2), lookup(64, 80)], { maxP50Ratio: 2, afterRequests: 40 });
  const { data, answers } = await untilRolledBack(mesh, 'slow');
  expect(data).toMatchObject({ version: '2', to: '1', executions: expect.any(Number) as number });
  expect((data as { p50Ratio: number }).p50Ratio).toBeGreaterThan(2);
  expect(new Set(answers)).toEqual(new Set(['1', '2']));
  expect((await labelOf(mesh, 'slow')).rolledBack!.reason).toMatch(
    /^the p50 of \d+ executions of version 2 is .*2 allowed$/,
  );
});

it('a version as good as the other stays, whatever callers send', async () => {
  await onTrial(mesh, 'good', [lookup(64), lookup(64)], { maxErrorShare: 0.1, maxP50Ratio: 3, afterRequests: 20 });
  let asked = 0;
  const callers = Array.from({ length: 4 }, async () => {
    for (; asked < 300; asked++) {
      await ask(mesh, 'good', asked % 3 === 0 ? 1000 : asked % 64); // no version has row 1000
      const none = inference.ModelInferRequest.fromPartial({ modelName: 'good' });
      await call(mesh, inference.GRPCInferenceServiceService.modelInfer, none).catch(() => {});
    }
  });
  await Promise.all(callers);
  const label = await labelOf(mesh, 'good');
  expect(label.targets).toHaveLength(2);
  const metrics = await mesh.metrics();
  const counted = (name: string) =>
    ['1', '2'].map((version) => {
      const [, value] = new RegExp(`${name}{model="good",label="stable",version="${version}"} (\\d+)`).exec(metrics)!;
      return Number(value);
    });
  const [one, two] = counted('mill_trial_requests_total');
  // requests without an input were refused before they ran
  expect(one! + two!).toBeGreaterThanOrEqual(300);
  expect(one! + two!).toBeLessThan(320);
  for (const failed of counted('mill_trial_failures_total')) expect(failed).toBeGreaterThan(20);
});
