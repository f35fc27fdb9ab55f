import {
  allocating,
  bool,
  doubling,
  float,
  half,
  int64,
  message,
  model,
  node,
  tensor,
  value,
} from './models-for-tests.js';
import { layoutsOf, openOutputRoom } from './output-room.js';
import type { RoomyModel } from './output-room.js';
import { createSession } from './session.js';
import { typedFromOrt, typedToOrt } from './tensor.js';
import type { TypedTensor } from './tensor.js';
import { uncopied } from './uncopied-run.js';

const count = 80_000;
const floats = (first: number): TypedTensor => ({
  dims: [count, 2],
  data: Float32Array.from({ length: 2 * count }, (_, i) => first + i),
});

const bytesOf = (data: TypedTensor['data']) => {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return Buffer.from(buffer, byteOffset, byteLength);
};
const isSame = ({ data }: TypedTensor, wanted: TypedTensor['data']) => bytesOf(data).equals(bytesOf(wanted));

async function open(bytes: Uint8Array) {
  const { session } = await createSession(uncopied(bytes), { providers: ['cpu'] });
  const roomy: RoomyModel = { session, layouts: layoutsOf(session) };
  return { roomy, [Symbol.asyncDispose]: () => session.release() };
}

const { run } = openOutputRoom();
const given = async (of: RoomyModel, feeds: Readonly<Record<string, TypedTensor>>, outputs: readonly string[]) => {
  const ort = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, typedToOrt(value)]));
  const results = await run(of, ort, outputs);
  return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, typedFromOrt(value)]));
};

it('large outputs lie where those of the run before lay', async () => {
  await using doubled = await open(doubling());
  const buffers = new Set<ArrayBufferLike>();
  for (let turn = 0; turn < 4; turn++) {
    const { y } = await given(doubled.roomy, { x: floats(turn) }, ['y']);
    const data = y!.data as Float32Array;
    expect([y!.dims, data[0], data[1], data.at(-1)]).toEqual([
      [count, 2],
      2 * turn,
      2 * turn + 2,
      2 * (turn + 2 * count - 1),
    ]);
    buffers.add(data.buffer);
  }
  expect(buffers.size).toBe(2); // the first run tells how large they are
});

/** Writes other values wherever later outputs may lie. */
async function spoilRoom() {
  await using doubled = await open(doubling());
  for (let turn = 0; turn < 2; turn++)
    await given(doubled.roomy, { x: { dims: [10 * count, 2], data: new Float32Array(20 * count).fill(7) } }, ['y']);
}

it('outputs are right where their shapes follow from values, not shapes, of the inputs', async () => {
  await using zeros = await open(allocating());
  const sizes = [count, count, 2 * count, count, 3];
  for (const size of sizes) {
    const { y } = await given(zeros.roomy, { sizes: { dims: [1], data: BigInt64Array.of(BigInt(size)) } }, ['y']);
    expect([y!.dims, isSame(y!, new Float32Array(size))]).toEqual([[size], true]);
  }
});

/** Outputs that are constants, views, or of other types; and with `more` the input itself. */
const mixed = (more: readonly Uint8Array[] = []) =>
  model({
    nodes: [
      node('Identity', ['x'], ['same']),
      node('Flatten', ['x'], ['flat']),
      node('Shape', ['x'], ['shape']),
      node('IsNaN', ['x'], ['none']),
      node('Add', ['h', 'h'], ['halves']),
    ],
    inputs: [value('x', float, ['n', 2]), value('h', half, ['m'])],
    outputs: [
      value('same', float, ['n', 2]),
      value('flat', float, ['n', 2]),
      value('shape', int64, [2]),
      value('none', bool, ['n', 2]),
      value('halves', half, ['m']),
      value('c', float, [count]),
      ...more,
    ],
    initializers: [tensor('c', float, [count], bytesOf(falling))],
  });
const falling = Float32Array.from({ length: count }, (_, i) => -i);
const of = ['same', 'flat', 'shape', 'none', 'halves', 'c'];

it.each([
  ['constants, views or of other types', mixed(), [of, of, ['c', 'flat'], ['c', 'flat'], of], 2],
  ['inputs', mixed([value('x', float, ['n', 2])]), [[...of, 'x'], [...of, 'x'], ['x'], ['x']], undefined],
])('outputs that are %s are right, all of them or some', async (_, bytes, asked, layouts) => {
  await using opened = await open(bytes);
  for (const [turn, outputs] of asked.entries()) {
    await spoilRoom();
    const x = floats(turn);
    const h = { dims: [3], data: Uint16Array.of(0x3c00, 0xc000, 0), datatype: 'FP16' };
    const wanted: Record<string, TypedTensor['data']> = {
      same: x.data,
      flat: x.data,
      shape: BigInt64Array.of(BigInt(count), 2n),
      none: new Uint8Array(2 * count),
      halves: Uint16Array.of(0x4000, 0xc400, 0),
      c: falling,
      x: x.data,
    };
    const got = await given(opened.roomy, { x, h }, outputs);
    expect(Object.keys(got).sort()).toEqual([...outputs].sort());
    expect(outputs.filter((name) => !isSame(got[name]!, wanted[name]!))).toEqual([]);
  }
  expect(opened.roomy.layouts?.size).toBe(layouts);
});

it.each([
  ['of another size', [1, 2]],
  ['of another rank', ['n']],
])('outputs are right where the model says that they are %s', async (_, shape) => {
  await using wrong = await open(
    model({
      nodes: [node('Add', ['x', 'x'], ['y'])],
      inputs: [value('x', float, ['n', 2])],
      outputs: [value('y', float, shape)],
    }),
  );
  for (let turn = 0; turn < 3; turn++) {
    const { y } = await given(wrong.roomy, { x: floats(turn) }, ['y']);
    expect([y!.dims, (y!.data as Float32Array)[0]]).toEqual([[count, 2], 2 * turn]);
  }
});

it('a run that fails is told, whatever its nodes are called', async () => {
  const reshape = message(
    [1, 'x'],
    [1, 'to'],
    [2, 'y'],
    [3, 'Non tensor type is temporarily not supported.'],
    [4, 'Reshape'],
  );
  const of = { inputs: [value('x', float, ['n', 2]), value('to', int64, [1])], outputs: [value('y', float, ['n'])] };
  await using named = await open(model({ nodes: [reshape], ...of }));
  const to = (size: number) => ({ dims: [1], data: BigInt64Array.of(BigInt(size)) });
  for (let turn = 0; turn < 2; turn++) await given(named.roomy, { x: floats(0), to: to(2 * count) }, ['y']);
  expect(named.roomy.layouts?.size).toBe(1);
  await expect(given(named.roomy, { x: floats(0), to: to(7) }, ['y'])).rejects.toThrow('cannot be reshaped');
});

it('names of outputs with commas are not mixed up', async () => {
  const of = ['a', 'b', 'a,b'];
  await using commas = await open(
    model({
      nodes: of.map((name, i) => node(['Neg', 'Abs', 'Sqrt'][i]!, ['x'], [name])),
      inputs: [value('x', float, ['n', 2])],
      outputs: of.map((name) => value(name, float, ['n', 2])),
    }),
  );
  for (const asked of [['a', 'b'], ['a', 'b'], ['a,b'], ['a,b']]) {
    expect(Object.keys(await given(commas.roomy, { x: floats(1) }, asked))).toEqual(asked);
  }
});

it('an error of the model is told, and the next run is right', async () => {
  await using added = await open(
    model({
      nodes: [node('Reshape', ['x', 'to'], ['y'])],
      inputs: [value('x', float, ['n', 2]), value('to', int64, [1])],
      outputs: [value('y', float, ['m'])],
    }),
  );
  const to = (size: number) => ({ dims: [1], data: BigInt64Array.of(BigInt(size)) });
  for (const size of [2 * count, 2 * count]) await given(added.roomy, { x: floats(0), to: to(size) }, ['y']);
  await expect(given(added.roomy, { x: floats(0), to: to(7) }, ['y'])).rejects.toThrow('cannot be reshaped');
  const { y } = await given(added.roomy, { x: floats(5), to: to(2 * count) }, ['y']);
  expect((y!.data as Float32Array)[0]).toBe(5);
});
