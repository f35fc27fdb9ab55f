import { graphAttribute, message, model, node, tensor, tensorAttribute, value } from './bytes-for-tests.js';
import { OnnxFormatError } from './model.js';
import type { Model } from './model.js';
import type { ByteSource } from './protobuf-reader.js';
import { readOnnx } from './read-onnx.js';
import { onnxPieces, writeOnnx } from './write-onnx.js';

const some = (name: string, dims: readonly number[]) => {
  const values = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return tensor(name, dims, [2, 1], [9, new Uint8Array(values.buffer)]);
};

/** 100,000 weights, small ones around them, a large constant inside a node, and a graph inside another. */
const file = model({
  initializers: [
    some('before', [3]),
    some('large', [250, 400]),
    tensor('typed', [2], [2, 7], [7, 5], [7, -6n]),
    some('another', [200, 400]),
    some('after', [2]),
  ],
  nodes: [
    node('Constant', [], ['constant'], {
      attributes: [tensorAttribute('value', some('', [40_000]))],
    }),
    node('If', ['typed'], ['y'], {
      attributes: [graphAttribute('then_branch', message([5, some('inner', [20_000])]))],
    }),
  ],
  inputs: [value('x', ['n', 3])],
  outputs: [value('y', ['n', 3])],
});

function counted(bytes: Uint8Array): ByteSource & { taken: number } {
  return {
    taken: 0,
    size: bytes.length,
    read(at, length) {
      this.taken += length;
      return bytes.slice(at, at + length);
    },
  };
}

describe('readOnnx from a source', () => {
  it('reads the same model as from its bytes', () => {
    const read = readOnnx(counted(file));
    expect(Buffer.compare(writeOnnx(read), writeOnnx(readOnnx(file)))).toBe(0);
    expect([...read.graph.initializers.keys()]).toEqual(['before', 'large', 'typed', 'another', 'after']);
  });

  it('reads no large tensor before its bytes are looked at', () => {
    const source = counted(file);
    const { graph } = readOnnx(source);
    expect(source.taken).toBeLessThan(100_000); // windows of 4 KiB around what is large; the file has 960,000
    const before = source.taken;
    expect(graph.initializers.get('large')!.bytes).toHaveLength(400_000);
    expect(source.taken - before).toBe(400_000);
  });

  it('finds what is wrong with a file that is damaged anywhere, or agrees on what it says', () => {
    const small = model({
      initializers: [some('large', [2_000]), some('after', [2])],
      nodes: [node('Add', ['x', 'after'], ['y'])],
      inputs: [value('x', ['n', 2])],
      outputs: [value('y', ['n', 2])],
    });
    const outcome = (read: () => Model) => {
      try {
        return Buffer.from(writeOnnx(read())).toString('base64');
      } catch (error) {
        if (!(error instanceof OnnxFormatError)) throw error;
        return 'refused';
      }
    };
    const outside = [...small.keys()].filter((at) => at < 120 || at > small.length - 120);
    const damaged = [
      ...outside.map((length) => small.subarray(0, length)),
      ...outside.flatMap((at) => [1, 2, 128].map((bit) => small.map((byte, i) => (i === at ? byte ^ bit : byte)))),
    ];
    let refused = 0;
    for (const bytes of damaged) {
      const whole = outcome(() => readOnnx(bytes));
      refused += Number(whole === 'refused');
      expect(outcome(() => readOnnx(counted(bytes))) === whole).toBe(true);
    }
    expect(refused).toBeGreaterThan(damaged.length / 3);
  });
});

describe('onnxPieces', () => {
  it('are the file, in pieces that are neither tiny nor copies of large tensors', () => {
    const read = readOnnx(file);
    const pieces = [...onnxPieces(read)];
    expect(Buffer.compare(Buffer.concat(pieces), writeOnnx(read))).toBe(0);
    expect(pieces.length).toBeLessThan(12);
    expect(pieces.some((piece) => piece === read.graph.initializers.get('large')!.bytes)).toBe(true);
  });
});
