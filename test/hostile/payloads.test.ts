import { MillError, inference } from '@modelmill/client';
import { emptyGraph, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Graph } from '@modelmill/onnx';
import { serve } from '../identity-models.js';
import { mib, startHostileMesh } from './hostile-mesh.js';
import type { HostileMesh } from './hostile-mesh.js';

const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);
const right = { name: 'input', datatype: 'FP32', shape: [1n, 4n], data: floats(1, 2, 3, 4) };
type Input = typeof right;
type Asked = Partial<inference.ModelInferRequest> & { readonly tensors?: readonly Input[] };

const message = ({ tensors = [right], ...changes }: Asked) =>
  inference.ModelInferRequest.fromPartial({
    modelName: 'classes',
    inputs: tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    rawInputContents: tensors.map(({ data }) => data),
    ...changes,
  });
const one = (changes: Partial<Input>): Asked => ({ tensors: [{ ...right, ...changes }] });
const outputs = (...names: string[]) => names.map((name) => ({ name, parameters: {} }));

/** Number of the list, what is sent, the gRPC status that is right, and how. */
const payloads: readonly [string, string, string, () => Asked][] = [
  ['H41', 'sizes whose product overflows', 'INVALID_ARGUMENT', () => one({ shape: [2n ** 31n, 2n ** 31n] })],
  ['H41', 'a negative size', 'INVALID_ARGUMENT', () => one({ shape: [-1n, 4n] })],
  ['H41', 'a size of 0 with data', 'INVALID_ARGUMENT', () => one({ shape: [0n, 4n] })],
  ['H41', 'rank 65', 'INVALID_ARGUMENT', () => one({ shape: Array<bigint>(65).fill(1n) })],
  ['H42', 'more data than the shape says', 'INVALID_ARGUMENT', () => one({ data: floats(1, 2, 3, 4, 5) })],
  ['H42', 'bytes that are no whole elements', 'INVALID_ARGUMENT', () => one({ data: Buffer.alloc(15) })],
  ['H43', 'another datatype', 'INVALID_ARGUMENT', () => one({ datatype: 'INT32' })],
  ['H43', 'a datatype that is none', 'INVALID_ARGUMENT', () => one({ datatype: 'constructor' })],
  ['H43', 'texts that are longer than they are', 'INVALID_ARGUMENT', () => ({ modelName: 'texts', tensors: [{ name: 'x', datatype: 'BYTES', shape: [1n], data: Buffer.of(255, 255, 255, 255, 1) }] })], // prettier-ignore
  ['H44', 'no numbers and infinities', 'OK', () => one({ data: floats(NaN, Infinity, -Infinity, 1e-44) })],
  ['H45', 'no input', 'INVALID_ARGUMENT', () => ({ tensors: [] })],
  ['H45', 'an input twice', 'INVALID_ARGUMENT', () => ({ tensors: [right, right] })],
  ['H45', 'an input too many', 'INVALID_ARGUMENT', () => ({ tensors: [right, { ...right, name: 'other' }] })],
  ['H45', '10,000 outputs', 'INVALID_ARGUMENT', () => ({ outputs: outputs(...Array<string>(10_000).fill('class')) })],
  ['H49', 'an unknown version', 'NOT_FOUND', () => ({ modelVersion: '99' })],
  ['H49', 'an unknown label', 'NOT_FOUND', () => ({ modelVersion: 'no-such-label' })],
  ['H49', 'an unknown model', 'NOT_FOUND', () => ({ modelName: 'nobody' })],
];

const file = (graph: Graph) =>
  writeOnnx({ irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] });

/** zeros, as many as x says. */
function growing(): Uint8Array {
  const graph = emptyGraph('growing');
  graph.inputs = [{ name: 'x', dataType: 'int64', shape: [1] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n'] }];
  graph.nodes = [makeNode('ConstantOfShape', ['x'], ['y'])];
  return file(graph);
}

function texts(): Uint8Array {
  const graph = emptyGraph('texts');
  graph.inputs = [{ name: 'x', dataType: 'string', shape: ['n'] }];
  graph.outputs = [{ name: 'y', dataType: 'string', shape: ['n'] }];
  graph.nodes = [makeNode('Identity', ['x'], ['y'])];
  return file(graph);
}

/** A product of x [n, n] with itself, many times: a minute of work on a fast machine, with x [900, 900]. */
function slow(): Uint8Array {
  const graph = emptyGraph('slow');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 'n'] }];
  graph.outputs = [{ name: 'v4000', dataType: 'float', shape: ['n', 'n'] }];
  graph.nodes = Array.from({ length: 4000 }, (_, i) => makeNode('MatMul', [i ? `v${i}` : 'x', 'x'], [`v${i + 1}`]));
  return file(graph);
}

describe('payloads that no client means', () => {
  let mesh: HostileMesh;
  beforeAll(async () => {
    mesh = await startHostileMesh({
      MILL_REQUEST_TIMEOUT_MS: '1500',
      MILL_RUNNERS: '2',
      MILL_RUNNER_MEMORY_BYTES: String(512 * mib),
    });
    for (const [name, content] of [
      ['growing', growing()],
      ['texts', texts()],
      ['slow', slow()],
    ] as const) {
      await serve(mesh, name, content);
    }
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const ask = (asked: Asked, deadlineMs = 20_000) =>
    mesh.mill.inference.modelInfer(message(asked), { deadlineMs }).then(
      () => 'OK',
      (error: unknown) => (error instanceof MillError ? error.codeName : String(error)),
    );

  it.each(payloads)('%s: %s is %s', async (_id, _what, wanted, asked) => {
    expect(await mesh.withstands(() => ask(asked()))).toBe(wanted);
  });

  it('H44: what is no number comes back as JSON', async () => {
    const body = '{"inputs":[{"name":"x","datatype":"FP32","shape":[3],"data":[NaN,Infinity,-Infinity]}]}';
    const answer = await mesh.fetch('/v2/models/same/infer', { method: 'POST', body });
    expect(await answer.json()).toMatchObject({ outputs: [{ data: ['NaN', 'Infinity', '-Infinity'] }] });
  });

  it('H46: an output of 4 GiB ends its runner at most', async () => {
    const tensor = { name: 'x', datatype: 'INT64', shape: [1n], data: Buffer.from(BigInt64Array.of(2n ** 30n).buffer) };
    const seen = await mesh.withstands(() => ask({ modelName: 'growing', tensors: [tensor] }));
    expect(seen).toBe('RESOURCE_EXHAUSTED');
  });

  it('H47: an input that takes for ever ends at the bound of a request', async () => {
    const tensor = { name: 'x', datatype: 'FP32', shape: [900n, 900n], data: Buffer.alloc(900 * 900 * 4) };
    expect(await mesh.withstands(() => ask({ modelName: 'slow', tensors: [tensor] }))).toBe('DEADLINE_EXCEEDED');
  });

  it('H48: a request whose time is over before its turn is refused', async () => {
    const timeout = { parameterChoice: { $case: 'int64Param' as const, int64Param: 1n } };
    expect(await mesh.withstands(() => ask({}, 0))).toBe('DEADLINE_EXCEEDED');
    expect(['OK', 'UNAVAILABLE']).toContain(await mesh.withstands(() => ask({ parameters: { timeout } })));
  });
});
