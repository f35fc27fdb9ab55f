import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MillError } from '@modelmill/client';
import { emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';
import { identity } from '../identity-models.js';
import { mib, startHostileMesh } from './hostile-mesh.js';
import type { HostileMesh } from './hostile-mesh.js';

function graphOf(nodes: Node[]): Graph {
  const graph = emptyGraph('hostile');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n'] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n'] }];
  graph.nodes = nodes;
  return graph;
}
const file = (graph: Graph, changes: Partial<Model> = {}) =>
  writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
    ...changes,
  });

/** A Relu whose node says that it is of another domain, or is another operator. */
const operator = (opType: string, domain = '') =>
  file(graphOf([{ ...makeNode(opType, ['x'], ['y']), domain }]), { opsets: new Map([['', 18], ...(domain ? [[domain, 1] as const] : [])]) }); // prettier-ignore

function* varint(value: bigint): Generator<number> {
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 128n) return yield Number(rest);
    yield Number(rest & 127n) | 128;
  }
}

/** A field of a protobuf message: a number, or bytes behind their length. */
function field(number: number, value: number | string | Buffer): Buffer {
  if (typeof value === 'number') return Buffer.from([...varint(BigInt(number * 8)), ...varint(BigInt(value))]);
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([...varint(BigInt(number * 8 + 2)), ...varint(BigInt(bytes.length))]), bytes]);
}
const message = (...fields: readonly Buffer[]) => Buffer.concat(fields);

/** A float of these sizes, in a file that `writeOnnx` would not write. */
function withDims(dims: readonly number[]): Uint8Array {
  const add = message(field(1, 'x'), field(1, 'w'), field(2, 'y'), field(4, 'Add'));
  const sizes = dims.map((size) => field(1, size));
  const weight = message(...sizes, field(2, 1), field(8, 'w'), field(9, Buffer.from(Float32Array.of(1).buffer)));
  const shape = message(field(1, message(field(2, 'n'))));
  const floats = field(1, message(field(1, 1), field(2, shape)));
  const [x, y] = ['x', 'y'].map((name) => message(field(1, name), field(2, floats)));
  const graph = message(field(1, add), field(2, 'hostile'), field(5, weight), field(11, x!), field(12, y!));
  return message(field(1, 8), field(7, graph), field(8, field(2, 18)));
}

/** TensorProto of external data: location `/etc/passwd`. */
function external(): Buffer {
  const graph = graphOf([makeNode('Add', ['x', 'w'], ['y'])]);
  graph.initializers.set('w', floatTensor('w', [1], [1]));
  const bytes = Buffer.from(file(graph));
  // raw_data (field 9, four bytes) becomes data_location (field 14) = EXTERNAL and padding of the same length
  const at = bytes.lastIndexOf(Buffer.concat([Buffer.of(0x4a, 0x04), Buffer.from(Float32Array.of(1).buffer)]));
  expect(at).toBeGreaterThan(0);
  Buffer.of(0x70, 0x01, 0x70, 0x01, 0x70, 0x01).copy(bytes, at);
  return bytes;
}

const relu = () => Buffer.from(identity('float'));
const chain = (count: number) =>
  file(graphOf(Array.from({ length: count }, (_, i) => makeNode('Relu', [i ? `v${i}` : 'x'], [i + 1 === count ? 'y' : `v${i + 1}`])))); // prettier-ignore

/** Number of the list, what is uploaded, and how. */
const uploads: readonly [string, string, () => Uint8Array][] = [
  ['H50', 'random bytes', () => Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251))],
  ['H50', 'nothing', () => Buffer.alloc(0)],
  ['H50', 'half a model', () => relu().subarray(0, relu().length / 2)],
  ['H50', 'a pickle', () => Buffer.from('80049527000000000000008c05706f736978948c0673797374656d9493', 'hex')],
  ['H50', 'a zip', () => Buffer.from('504b0304140000000800', 'hex')],
  ['H50', 'a web page', () => Buffer.from('<!doctype html><title>404</title>')],
  ['H51', 'external data', external],
  ['H52', 'a graph that is a circle', () => file(graphOf([makeNode('Add', ['x', 'b'], ['a']), makeNode('Add', ['a', 'x'], ['b']), makeNode('Relu', ['b'], ['y'])]))], // prettier-ignore
  ['H53', '200,000 nodes', () => chain(200_000)],
  ['H54', 'an operator of a domain of its own', () => operator('Relu', 'com.example')],
  ['H54', 'an operator of com.microsoft', () => operator('Gelu', 'com.microsoft')],
  ['H54', 'an operator of training', () => operator('Gradient', 'ai.onnx.preview.training')],
  ['H54', 'an operator that is none', () => operator('NoSuchOperator')],
  ['H55', 'sizes whose product overflows', () => withDims([2 ** 40, 2 ** 40])],
  ['H55', 'a negative size', () => withDims([-1])],
  ['H55', 'data that is shorter than its sizes', () => withDims([1000])],
];

const names = ['../x', 'a/b', 'ｄigits', 'a'.repeat(300), '', '%2e%2e', 'a b', '.', 'constructor\u0000'];

describe('models that nobody should load', () => {
  let mesh: HostileMesh;
  beforeAll(async () => void (mesh = await startHostileMesh()));
  afterAll(() => mesh[Symbol.asyncDispose]());

  const upload = (model: string, content: Uint8Array, sha256?: string) =>
    mesh.mill.registry.uploadVersion({ model, content, ...(sha256 ? { sha256 } : {}) }).then(
      () => 'OK',
      (error: unknown) => (error instanceof MillError ? error.codeName : String(error)),
    );
  const registered = async () => (await mesh.mill.registry.listModels()).map(({ name }) => name).sort();

  it.each(uploads)('%s: %s is refused, and nothing is registered', async (_id, _what, make) => {
    const content = make();
    expect(await mesh.withstands(() => upload('hostile', content), 128 * mib)).toBe('INVALID_ARGUMENT');
    expect(await registered()).toEqual(['classes', 'same']);
  });

  it('H55: sizes that fit the data are taken', async () => {
    expect(await upload('honest', withDims([1]))).toBe('OK');
    await mesh.mill.registry.deleteModel('honest');
  });

  it('H56: a digest of other bytes is refused', async () => {
    const sha256 = createHash('sha256').update('other').digest('hex');
    expect(await mesh.withstands(() => upload('hostile', relu(), sha256))).toBe('INVALID_ARGUMENT');
    expect(await registered()).toEqual(['classes', 'same']);
  });

  it.each(names)('H57: the model name %j is refused', async (name) => {
    expect(await mesh.withstands(() => upload(name, relu()))).toBe('INVALID_ARGUMENT');
    expect(await registered()).toEqual(['classes', 'same']);
  });

  it('H58: uploads that are given up leave no chunk behind', async () => {
    const artifacts = join(mesh.folder, 'artifacts');
    const files = () => readdirSync(artifacts, { recursive: true }).length;
    const before = files();
    async function* halfway(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(64 * 1024);
      await Promise.resolve();
      throw new Error('given up');
    }
    await mesh.withstands(async () => {
      for (let i = 0; i < 200; i++) {
        await mesh.mill.registry.uploadVersion({ model: 'hostile', content: halfway(), sha256: 'a'.repeat(64) }).catch(() => {}); // prettier-ignore
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(files()).toBeLessThanOrEqual(before);
  });
});
