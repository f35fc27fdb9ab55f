import { floats, message, model, node, packed, tensor, tensorAttribute, value } from './bytes-for-tests.js';
import { OnnxFormatError } from './model.js';
import type { Tensor } from './model.js';
import { readOnnx } from './read-onnx.js';
import { floatsOf, intsOf } from './tensor.js';
import { writeOnnx } from './write-onnx.js';

const readTensor = (encoded: Uint8Array): Tensor => {
  const [[, read] = []] = readOnnx(model({ initializers: [encoded] })).graph.initializers;
  return read!;
};
const little = (array: { readonly buffer: ArrayBufferLike }) => new Uint8Array(array.buffer);

describe('readOnnx', () => {
  // data_type, the field its values travel in, what that holds, and the little-endian bytes they stand for
  it.each<[string, number, number, Uint8Array, Uint8Array]>([
    ['float', 1, 4, floats(1.5, -2), floats(1.5, -2)],
    ['uint8', 2, 5, packed(7, 255), Uint8Array.of(7, 255)],
    ['int8', 3, 5, packed(-1, 127), Uint8Array.of(255, 127)],
    ['uint16', 4, 5, packed(1, 65535), little(Uint16Array.of(1, 65535))],
    ['int16', 5, 5, packed(-2, 300), little(Int16Array.of(-2, 300))],
    ['int32', 6, 5, packed(-3, 2 ** 31 - 1), little(Int32Array.of(-3, 2 ** 31 - 1))],
    ['int64', 7, 7, packed(-4, 2n ** 63n - 1n), little(BigInt64Array.of(-4n, 2n ** 63n - 1n))],
    ['bool', 9, 5, packed(1, 0), Uint8Array.of(1, 0)],
    ['float16', 10, 5, packed(0x3c00, 0xc000), little(Uint16Array.of(0x3c00, 0xc000))],
    ['double', 11, 10, little(Float64Array.of(0.1, -2)), little(Float64Array.of(0.1, -2))],
    ['uint32', 12, 11, packed(1, 2 ** 32 - 1), little(Uint32Array.of(1, 2 ** 32 - 1))],
    ['uint64', 13, 11, packed(1, 2n ** 64n - 1n), little(BigUint64Array.of(1n, 2n ** 64n - 1n))],
    ['bfloat16', 16, 5, packed(0x3f80, 0xc000), little(Uint16Array.of(0x3f80, 0xc000))],
    ['float8e4m3fn', 17, 5, packed(0x38, 0xb8), Uint8Array.of(0x38, 0xb8)],
    ['uint4', 21, 5, packed(0xf1), Uint8Array.of(0xf1)],
  ])('takes %s data out of typed fields', (dataType, type, field, data, bytes) => {
    const read = readTensor(tensor('t', [2], [2, type], [field, data]));
    expect({ ...read, bytes: Buffer.from(read.bytes) }).toEqual({
      name: 't',
      dataType,
      dims: [2],
      bytes: Buffer.from(bytes),
    });
  });

  it('takes typed numbers that come one by one', () => {
    expect(intsOf(readTensor(tensor('t', [3], [2, 7], [7, 5], [7, -6n], [7, 7])))).toEqual([5, -6, 7]);
  });

  it('takes strings, each behind its length', () => {
    expect(Buffer.from(readTensor(tensor('t', [2], [2, 8], [6, 'é'], [6, ''])).bytes)).toEqual(
      Buffer.from([2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0]),
    );
  });

  it('reads the numbers of a tensor wherever it lies in a Buffer', () => {
    const file = model({ initializers: [tensor('t', [3], [2, 7], [9, little(BigInt64Array.of(1n, 2n, 3n))])] });
    const among = Buffer.concat([Buffer.alloc(5, 1), file, Buffer.alloc(9, 1)]).subarray(5, 5 + file.length);
    const read = readOnnx(among).graph.initializers.get('t')!;
    expect(intsOf(read)).toEqual([1, 2, 3]);
    expect(Buffer.isBuffer(read.bytes)).toBe(false); // whose slice() would be no copy
    const constant = model({ initializers: [tensor('t', [1, 2], [2, 1], [9, floats(0.5, 8)])] });
    expect(floatsOf(readOnnx(Buffer.from(constant)).graph.initializers.get('t')!)).toEqual(Float32Array.of(0.5, 8));
  });

  it('makes views of 100 MB of raw data, not copies', () => {
    const size = 100 * 2 ** 20;
    const head = message([1, size / 4], [2, 1], [8, 'big']);
    const data = Buffer.alloc(size);
    const file = Buffer.from(model({ initializers: [Buffer.concat([head, message([9, data])])] }));
    const before = process.memoryUsage().arrayBuffers;
    const { graph } = readOnnx(file);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(size / 100);
    const big = graph.initializers.get('big')!;
    expect(big.bytes.length).toBe(size);
    expect(big.bytes.buffer).toBe(file.buffer);
  });

  it('keeps sizes, symbols and unknowns of a shape apart', () => {
    const unknown = message([1, 'y'], [2, message([1, message([1, 1])])]);
    const open = message([1, 'z'], [2, message([1, message([1, 1], [2, message([1, message()])])])]);
    const { inputs, outputs } = readOnnx(
      model({ inputs: [value('x', ['n', 0, 3], 7)], outputs: [unknown, open] }),
    ).graph;
    expect(inputs).toEqual([{ name: 'x', dataType: 'int64', shape: ['n', 0, 3] }]);
    expect(outputs).toEqual([
      { name: 'y', dataType: 'float', shape: undefined },
      { name: 'z', dataType: 'float', shape: [undefined] },
    ]);
  });

  it('knows ai.onnx by both its names', () => {
    const { opsets, graph } = readOnnx(
      model({ opsets: [['ai.onnx', 18]], nodes: [node('Relu', ['x'], ['y'], { domain: 'ai.onnx' })] }),
    );
    expect([...opsets]).toEqual([['', 18]]);
    expect(graph.nodes[0]!.domain).toBe('');
  });

  it.each<[string, Uint8Array, string]>([
    ['two initializers of a name', model({ initializers: [1, 2].map(() => tensor('t', [0], [2, 1])) }), "'t'"],
    ['raw data that is no bytes', model({ initializers: [tensor('t', [1], [2, 1], [9, 4])] }), 'field 9'],
    [
      'both raw and typed data',
      model({ initializers: [tensor('t', [1], [2, 1], [9, floats(1)], [4, floats(1)])] }),
      'wants one',
    ],
    ['typed data of another type', model({ initializers: [tensor('t', [1], [2, 1], [7, packed(1)])] }), 'wants 4'],
    [
      'fewer numbers than the sizes say',
      model({ initializers: [tensor('t', [3], [2, 7], [7, packed(1, 2)])] }),
      'wants 3',
    ],
    ['fewer strings than the sizes say', model({ initializers: [tensor('t', [3], [2, 8], [6, 'a'])] }), 'wants 3'],
    [
      'an attribute whose message comes in two parts',
      model({
        nodes: [
          node('Constant', [], ['y'], {
            attributes: [message([1, 'value'], [5, tensor('', [0], [2, 1])], [5, tensor('', [0], [2, 1])], [20, 4])],
          }),
        ],
      }),
      'wants one',
    ],
    [
      'two attributes of a name',
      model({
        nodes: [
          node('Constant', [], ['y'], {
            attributes: [1, 2].map(() => tensorAttribute('value', tensor('', [0], [2, 1]))),
          }),
        ],
      }),
      "attribute 'value'",
    ],
    ['two graphs', model({ more: [[7, message()]] }), 'got 2'],
  ])('refuses %s', (_, bytes, named) => {
    expect(() => readOnnx(bytes)).toThrow(OnnxFormatError);
    expect(() => readOnnx(bytes)).toThrow(named);
  });
});

describe('writeOnnx', () => {
  it('writes what it read to the same model again', () => {
    const file = model({
      nodes: [
        node('Constant', [], ['c'], {
          attributes: [tensorAttribute('value', tensor('', [2], [2, 8], [6, 'a'], [6, '']))],
        }),
        node('Op', ['x', '', 'c'], ['', 'y'], {
          name: 'op',
          domain: 'ai.onnx.ml',
          attributes: [
            message([1, 'int'], [3, -(2n ** 63n)], [20, 2]),
            message([1, 'ints'], [8, -1n], [8, 2n ** 63n - 1n], [20, 7]),
            message([1, 'none'], [20, 7]),
            message([1, 'floats'], [7, floats(0.5, -1)], [20, 6]),
            message([1, 'text'], [4, ''], [20, 3]),
            message([1, 'texts'], [9, 'a'], [9, ''], [20, 8]),
            message([1, 'from'], [21, 'outer'], [20, 2]),
          ],
        }),
      ],
      sparse: [
        message(
          [1, tensor('s', [1], [2, 1], [9, floats(3)])],
          [2, tensor('', [1], [2, 7], [7, packed(5)])],
          [3, packed(2, 3)],
        ),
      ],
      inputs: [
        value('x', ['n', 0, 3]),
        message([1, 'seq'], [2, message([4, message([1, message([1, message([1, 1])])])])]),
      ],
      more: [[14, message([1, 'key'], [2, 'value'])]],
    });
    const read = readOnnx(file);
    expect(readOnnx(writeOnnx(read))).toEqual(read);
    const [, op] = read.graph.nodes;
    expect(Object.fromEntries(op!.attributes)).toMatchObject({
      int: { kind: 'int', value: -(2 ** 63) },
      ints: { kind: 'ints', value: [-1, 2 ** 63] },
      none: { kind: 'ints', value: [] },
      texts: { kind: 'strings', value: ['a', ''] },
      from: { kind: 'reference', value: 'outer', type: 2 },
    });
    // the largest int64 is no double, and comes back all the same
    expect(Buffer.from(writeOnnx(read)).includes(Buffer.from(packed(2n ** 63n - 1n)))).toBe(true);
  });

  it('writes graphs of more parts than a call takes arguments', () => {
    const nodes = Array.from({ length: 50_000 }, (_, i) => node('Relu', [`v${i}`], [`v${i + 1}`]));
    const read = readOnnx(model({ nodes }));
    expect(readOnnx(writeOnnx(read)).graph.nodes).toHaveLength(50_000);
  });
});
