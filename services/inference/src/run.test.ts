import { status } from '@grpc/grpc-js';
import { inference } from '@modelmill/contracts';
import { attribute, floatTensor, writeOnnx } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { call, event, point, register as registerBytes, startServing } from './start-for-tests.js';
import type { Serving } from './start-for-tests.js';

const node = (
  opType: string,
  inputs: string[],
  outputs: string[],
  attributes: Node['attributes'] = new Map(),
): Node => ({
  name: outputs[0]!,
  opType,
  domain: '',
  inputs,
  outputs,
  attributes,
});

/** probabilities = softmax(input · w), and their largest class. */
function classifier(scale: number): Model {
  const w = Array.from({ length: 12 }, (_, index) => scale * Math.sin(index));
  return {
    irVersion: 9,
    opsets: new Map([['', 18]]),
    producer: 'test',
    metadata: new Map(),
    functions: [],
    graph: {
      name: 'classifier',
      nodes: [
        node('MatMul', ['input', 'w'], ['logits']),
        node('Softmax', ['logits'], ['probabilities'], new Map([['axis', attribute(-1)]])),
        node('ArgMax', ['logits'], ['class'], new Map([['axis', attribute(-1)], ['keepdims', attribute(0)]])), // prettier-ignore
      ],
      initializers: new Map([['w', floatTensor('w', [4, 3], w)]]),
      sparseInitializers: new Map(),
      inputs: [{ name: 'input', dataType: 'float', shape: ['n', 4] }],
      outputs: [
        { name: 'probabilities', dataType: 'float', shape: ['n', 3] },
        { name: 'class', dataType: 'int64', shape: ['n'] },
      ],
      valueInfo: [],
    },
  };
}

const signature = {
  inputs: [{ name: 'input', datatype: 'FP32', shape: [-1n, 4n] }],
  outputs: [
    { name: 'probabilities', datatype: 'FP32', shape: [-1n, 3n] },
    { name: 'class', datatype: 'INT64', shape: [-1n] },
  ],
};
const service = inference.GRPCInferenceServiceService;
const register = (mesh: Serving, model: string, bytes: Uint8Array) => registerBytes(mesh, model, bytes, signature);

const floats = (values: readonly number[]) => Buffer.from(Float32Array.from(values).buffer);
const request = (json: object) => inference.ModelInferRequest.fromJSON(json);
const input = (rows: number, rest: object = {}) => ({
  name: 'input',
  datatype: 'FP32',
  shape: [String(rows), '4'],
  ...rest,
});
const raw = (rows: number, values: readonly number[], rest: object = {}) =>
  request({
    modelName: 'digits',
    inputs: [input(rows)],
    rawInputContents: [floats(values).toString('base64')],
    ...rest,
  });
const infer = (mesh: Serving, message: inference.ModelInferRequest) => call(mesh, service.modelInfer, message);

describe('the inference service', () => {
  let mesh: Serving;
  beforeAll(async () => {
    mesh = await startServing();
    const version = await register(mesh, 'digits', writeOnnx(classifier(1)));
    await event(mesh, 'model.digits.1.admitted');
    await point(mesh, 'digits', version);
    await event(mesh, 'model.digits.1.ready');
  }, 30_000);
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('announces a version once it is loaded, with what holds it', async () => {
    const { data } = await event(mesh, 'model.digits.1.ready');
    expect(data).toMatchObject({ model: 'digits', version: '1', provider: 'cpu' });
  });

  it('answers raw and typed requests alike, as ONNX Runtime does', async () => {
    await using session = await openSession(writeOnnx(classifier(1)));
    const values = [0.5, -1, 2, 0.25, 1, 1, 1, 1];
    const want = await session.run({ input: { dims: [2, 4], data: Float32Array.from(values) } });
    const typed = request({
      modelName: 'digits',
      modelVersion: '1',
      id: 'typed-1',
      inputs: [input(2, { contents: { fp32Contents: values } })],
    });
    for (const message of [raw(2, values, { id: 'raw-1' }), typed]) {
      const answer = await infer(mesh, message);
      expect(answer).toMatchObject({ modelName: 'digits', modelVersion: '1', id: message.id });
      expect(answer.outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
        ['probabilities', 'FP32', [2n, 3n]],
        ['class', 'INT64', [2n]],
      ]);
      expect(answer.outputs.every(({ contents }) => contents === undefined)).toBe(true);
      const [probabilities, classes] = answer.rawOutputContents;
      expect(new Float32Array(new Uint8Array(probabilities!).buffer)).toEqual(want['probabilities']!.data);
      expect(new BigInt64Array(new Uint8Array(classes!).buffer)).toEqual(want['class']!.data);
    }
  });

  it('gives the outputs asked for, in their order', async () => {
    const answer = await infer(mesh, raw(1, [1, 2, 3, 4], { outputs: [{ name: 'class' }] }));
    expect(answer.outputs.map(({ name }) => name)).toEqual(['class']);
    expect(answer.rawOutputContents.map(({ length }) => length)).toEqual([8]);
  });

  it('gives every one of many requests at once its own answer, and counts them', async () => {
    const before = await statistics();
    const rows = Array.from({ length: 200 }, (_, index) => [index / 100, 1, -index / 50, 0.5]);
    const together = await Promise.all(rows.map((values) => infer(mesh, raw(1, values))));
    await using session = await openSession(writeOnnx(classifier(1)));
    const want = await session.run({ input: { dims: [200, 4], data: Float32Array.from(rows.flat()) } });
    const classes = together.map(({ rawOutputContents }) => rawOutputContents[1]!.readBigInt64LE());
    expect(classes).toEqual([...(want['class']!.data as BigInt64Array)]);
    const after = await statistics();
    expect(after.inferenceCount - before.inferenceCount).toBe(200n);
    expect(after.executionCount - before.executionCount).toBeLessThan(200n);
    expect(after.inferenceStats!.success!.count - before.inferenceStats!.success!.count).toBe(200n);
    expect(await mesh.metrics()).toMatch(/nv_inference_request_success\{model="digits",version="1"\} \d{3}/);
  });

  async function statistics() {
    const { modelStats } = await call(mesh, service.modelStatistics, { name: 'digits', version: '1' });
    return modelStats[0]!;
  }

  it.each([
    ['an unknown model', { modelName: 'nobody' }, status.NOT_FOUND, "Request for unknown model: 'nobody' is not found"],
    [
      'an unknown version',
      { modelVersion: '77' },
      status.NOT_FOUND,
      "Request for unknown model: 'digits' version 77 is not found",
    ],
    [
      'a wrong shape',
      { inputs: [{ ...input(1), shape: ['1', '5'] }] },
      status.INVALID_ARGUMENT,
      "unexpected shape for input 'input' for model 'digits'. Expected [-1,4], got [1,5]",
    ],
    [
      'a wrong datatype',
      { inputs: [{ ...input(1), datatype: 'INT64' }] },
      status.INVALID_ARGUMENT,
      "inference input 'input' data-type is 'INT64', but model 'digits' expects 'FP32'",
    ],
  ])('names %s', async (_, wrong, code, details) => {
    await expect(infer(mesh, raw(1, [1, 2, 3, 4], wrong))).rejects.toMatchObject({ code, details });
  });

  it('answers a stream in order, with errors among the answers', async () => {
    const stream = mesh.client.modelStreamInfer();
    const answers: inference.ModelStreamInferResponse[] = [];
    const ended = new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
    stream.on('data', (answer: inference.ModelStreamInferResponse) => answers.push(answer));
    const ids = Array.from({ length: 100 }, (_, index) => `request-${index}`);
    ids.forEach((id, index) =>
      stream.write(raw(1, [index, 0, 0, 0], index % 10 === 3 ? { id, modelName: 'nobody' } : { id })),
    );
    stream.end();
    await ended;
    expect(answers.map(({ inferResponse }) => inferResponse?.id)).toEqual(ids);
    const failed = answers.flatMap(({ errorMessage }, index) => (errorMessage === '' ? [] : [index % 10]));
    expect(failed).toEqual(Array(10).fill(3));
  });

  it('describes itself and its models', async () => {
    expect(await call(mesh, service.serverLive, {})).toEqual({ live: true });
    expect(await call(mesh, service.serverReady, {})).toEqual({ ready: true });
    expect(await call(mesh, service.serverMetadata, {})).toMatchObject({ name: 'modelmill' });
    expect(await call(mesh, service.modelReady, { name: 'digits', version: '' })).toEqual({ ready: true });
    expect(await call(mesh, service.modelMetadata, { name: 'digits', version: 'stable' })).toMatchObject({
      name: 'digits',
      versions: ['1'],
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1n, 4n] }],
    });
    const { config } = await call(mesh, service.modelConfig, { name: 'digits', version: '' });
    expect(config).toMatchObject({ name: 'digits', maxBatchSize: 64, backend: 'onnxruntime' });
    expect(config!.input[0]!.dims).toEqual([4n]);
    const { models } = await call(mesh, service.repositoryIndex, { repositoryName: '', ready: true });
    expect(models).toEqual([{ name: 'digits', version: '1', state: 'READY', reason: '' }]);
  });

  it('moves to a new version without failing a request', async () => {
    const stop = new AbortController();
    const versions = new Set<string>();
    const asking = (async () => {
      while (!stop.signal.aborted) {
        const answers = await Promise.all(Array.from({ length: 8 }, () => infer(mesh, raw(1, [1, 2, 3, 4]))));
        for (const { modelVersion } of answers) versions.add(modelVersion);
      }
    })();
    await register(mesh, 'digits', writeOnnx(classifier(2)));
    await event(mesh, 'model.digits.2.admitted');
    await point(mesh, 'digits', '2');
    await event(mesh, 'model.digits.2.ready');
    await event(mesh, 'model.digits.1.unloaded');
    stop.abort();
    await asking;
    expect([...versions]).toEqual(['1', '2']);
    expect((await infer(mesh, raw(1, [1, 2, 3, 4]))).modelVersion).toBe('2');
  }, 20_000);

  it('answers every request while its runners are killed', async () => {
    const { pid } = await mesh.logged('runner started');
    const seen = mesh.lines.length;
    const answers = Array.from({ length: 500 }, () => infer(mesh, raw(1, [1, 2, 3, 4])));
    process.kill(Number(pid), 'SIGKILL');
    expect((await Promise.all(answers)).every(({ modelName }) => modelName === 'digits')).toBe(true);
    await mesh.logged('runner started', seen);
    expect((await infer(mesh, raw(1, [1, 2, 3, 4]))).modelName).toBe('digits');
  });

  it('rejects what is no admissible model, with the reason, and serves on', async () => {
    await register(mesh, 'rubbish', Buffer.from('<html>'));
    await event(mesh, 'model.rubbish.1.rejected');
    const { rejectionReason } = await mesh.store.registry.version('rubbish', '1');
    expect(rejectionReason).not.toBe('');
    expect((await infer(mesh, raw(1, [1, 2, 3, 4]))).modelName).toBe('digits');
  });

  it('tells the mesh where it is and what it holds', async () => {
    const [replica] = await mesh.store.replicas.list('inference');
    expect(replica).toMatchObject({
      service: 'inference',
      models: [{ model: 'digits', version: '2', labels: ['stable'] }],
    });
  });

  it('unloads and loads a model on demand', async () => {
    const named = { repositoryName: '', modelName: 'digits', parameters: {} };
    await call(mesh, service.repositoryModelUnload, named);
    expect(await call(mesh, service.modelReady, { name: 'digits', version: '' })).toEqual({ ready: false });
    await call(mesh, service.repositoryModelLoad, named);
    expect(await call(mesh, service.modelReady, { name: 'digits', version: '' })).toEqual({ ready: true });
    await expect(call(mesh, service.repositoryModelLoad, { ...named, modelName: 'nobody' })).rejects.toMatchObject({
      details: "failed to load 'nobody', failed to poll from model repository",
    });
  });

  it('ends with code 0 when it is asked to', async () => {
    expect(await mesh.stop()).toBe(0);
  });
});
