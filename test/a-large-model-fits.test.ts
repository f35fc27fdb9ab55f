import {
  cloneModel,
  emptyGraph,
  floatTensor,
  makeNode,
  onnxPieces,
  readOnnx,
  splitOnnx,
  writeOnnx,
} from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { parseOptimizationSpec } from '@modelmill/client';
import type { registry } from '@modelmill/client';
import { uploadDigits } from './digits.js';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(300_000);

/** What a file may have here stands for what it may have: 2 GiB is the most that ONNX Runtime reads. */
const mostFileBytes = 20_000;

/** 64 → units → 10, and numbers of their own: 38,000 bytes. */
function largeModel(units = 128): Model {
  const graph = emptyGraph('large');
  const weights = (name: string, dims: readonly number[]) => {
    const count = dims.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i * i + name.length) / 8);
    graph.initializers.set(name, floatTensor(name, dims, values));
    return name;
  };
  graph.inputs = [{ name: 'input', dataType: 'float', shape: ['n', 64] }];
  graph.nodes = [
    makeNode('Gemm', ['input', weights('first', [64, units]), weights('bias', [units])], ['sum'], {}, 'first'),
    makeNode('Relu', ['sum'], ['hidden']),
    makeNode('Gemm', ['hidden', weights('second', [units, 10])], ['scores'], {}, 'second'),
    makeNode('Softmax', ['scores'], ['probabilities']),
  ];
  graph.outputs = [{ name: 'probabilities', dataType: 'float', shape: ['n', 10] }];
  return { irVersion: 9, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

describe('a model that is larger than a file may be', () => {
  let mesh: Mesh;
  let uploaded: registry.Version;
  const model = largeModel();
  const split = splitOnnx(model, mostFileBytes)!;
  const file = Buffer.concat([...split.file('model.onnx.data')]);
  const data = Buffer.concat([...split.data()]);
  const pixels = Float32Array.from({ length: 64 }, (_, i) => i % 17);

  beforeAll(async () => {
    mesh = await startMesh({ MILL_MODEL_FILE_BYTES: String(mostFileBytes) });
    await uploadDigits(mesh.mill);
    uploaded = await mesh.mill.registry.uploadVersion({
      model: 'large',
      content: Buffer.concat([file, data]),
      onnxBytes: file.length,
      externalData: [{ location: 'model.onnx.data', bytes: data.length }],
    });
    // the same, in a file of its own kind
    await mesh.mill.registry.uploadVersion({ model: 'small', content: Buffer.concat([...onnxPieces(model)]) });
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  async function answer(of: string, version: string): Promise<number[]> {
    const { state } = await mesh.mill.registry.getVersion(of, version);
    if (state !== 2) await admitted(of, version);
    await mesh.mill.registry.setLabel(of, { name: 'stable', targets: [{ version, weight: 1 }] });
    const body = JSON.stringify({
      inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 64], data: [...pixels] }],
    });
    for (;;) {
      const response = await mesh.fetch(`/v2/models/${of}/versions/${version}/infer`, { method: 'POST', body });
      const answered = (await response.json()) as { outputs?: { data: number[] }[] };
      if (answered.outputs) return answered.outputs[0]!.data;
      await new Promise((done) => setTimeout(done, 200)); // it is being loaded
    }
  }

  async function admitted(of: string, version: string): Promise<void> {
    for (;;) {
      const { state, rejectionReason } = await mesh.mill.registry.getVersion(of, version);
      if (state === 2) return;
      if (state === 3) throw new Error(rejectionReason);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  const downloaded = async (version: registry.Version) => {
    const joined = async (pieces: AsyncIterable<Uint8Array>) => {
      const all: Uint8Array[] = [];
      for await (const piece of pieces) all.push(piece);
      return Buffer.concat(all);
    };
    const { model: name, version: number, externalData } = version;
    const bytes = await joined(mesh.mill.registry.downloadVersion(name, number));
    if (!externalData) return readOnnx(bytes);
    const beside = await joined(mesh.mill.registry.downloadExternalData(version));
    const read = (at: number, length: number) => beside.subarray(at, at + length);
    return readOnnx(bytes, new Map([[externalData.sha256, { size: beside.length, read }]]));
  };

  it('is stored as two files, comes back as the model it was, and answers as the one in one file', async () => {
    expect(Number(uploaded.externalData!.sizeBytes)).toBe(data.length);
    expect(Number(uploaded.sizeBytes)).toBeGreaterThan(mostFileBytes);
    expect(writeOnnx(await downloaded(uploaded))).toEqual(writeOnnx(cloneModel(model)));
    expect(await answer('large', '1')).toEqual(await answer('small', '1'));
  });

  it('is taken over HTTP, too', async () => {
    const body = Buffer.concat([file, data]);
    const path = `/mill/v1/models/over-http/versions?onnx_bytes=${file.length}&data=model.onnx.data:${data.length}`;
    const response = await mesh.fetch(path, { method: 'PUT', body });
    const { version } = (await response.json()) as { version: { external_data: { sha256: string } } };
    expect(version.external_data.sha256).toBe(uploaded.externalData!.sha256);
    const bytes = await mesh.fetch('/mill/v1/models/over-http/versions/1/external-data');
    expect(Buffer.from(await bytes.arrayBuffer()).equals(data)).toBe(true);
  });

  it('is stored as one file where that is small enough', async () => {
    const small = largeModel(8);
    const parts = splitOnnx(small, 1)!;
    const [bytes, beside] = [parts.file('weights/all'), parts.data()].map((pieces) => Buffer.concat([...pieces]));
    const version = await mesh.mill.registry.uploadVersion({
      model: 'joined',
      content: Buffer.concat([bytes!, beside!]),
      onnxBytes: bytes!.length,
      externalData: [{ location: 'weights/all', bytes: beside!.length }],
    });
    expect(version.externalData).toBeUndefined();
    expect(writeOnnx(await downloaded(version))).toEqual(writeOnnx(small));
  });

  it.each([
    ['quantize_weights', { quantize_weights: {} }, false],
    ['quantize_static', { quantize_static: { calibration_samples: 32 } }, false],
    ['store_halves', { store_halves: {} }, true],
  ])('goes through %s and is served', async (_, pass, isLarge) => {
    const { status } = await mesh.mill.optimizer.submit(
      parseOptimizationSpec({
        model: 'large',
        version: '1',
        data: { dataset: 'digits' },
        passes: [pass],
        max_accuracy_drop: 1,
      }),
    );
    const { version: number } = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
    const version = await mesh.mill.registry.getVersion('large', number);
    expect(version.externalData !== undefined).toBe(isLarge);
    expect(version.metrics['size_bytes']).toBe(Number(version.sizeBytes));
    const [got, wanted] = [await answer('large', number), await answer('small', '1')];
    expect(Math.max(...got.map((share, i) => Math.abs(share - wanted[i]!)))).toBeLessThan(0.05);
  });

  it.each([
    [
      'in a file that was not sent',
      '../secret',
      "tensor 'first' keeps its data in another file, '../secret': there are 'model.onnx.data'",
    ],
    ['in a file of the machine', '/etc/passwd', "'/etc/passwd': there are 'model.onnx.data'"],
  ])('is refused where it keeps weights %s', async (_, location, problem) => {
    const content = Buffer.concat([...split.file(location), data]);
    const sent = { model: 'hostile', onnxBytes: content.length - data.length };
    const externalData = [{ location: 'model.onnx.data', bytes: data.length }];
    await expect(mesh.mill.registry.uploadVersion({ ...sent, content, externalData })).rejects.toThrow(problem);
    await expect(mesh.mill.registry.getModel('hostile')).rejects.toThrow("'hostile' is not registered");
    const alone = content.subarray(0, sent.onnxBytes);
    await expect(mesh.mill.registry.uploadVersion({ model: 'hostile', content: alone })).rejects.toThrow(
      "tensor 'first' keeps its data in another file, which is refused",
    );
  });

  it('is refused where its parts are not as long as is said', () =>
    expect(
      mesh.mill.registry.uploadVersion({
        model: 'hostile',
        content: Buffer.concat([file, data]),
        onnxBytes: file.length,
        externalData: [{ location: 'model.onnx.data', bytes: data.length + 1 }],
      }),
    ).rejects.toThrow(`onnx_bytes and external_data state ${file.length + data.length + 1} bytes`));
});
