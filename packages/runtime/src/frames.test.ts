import { addressed, createFrameReader, decodePreamble, encodeFrame } from './frames.js';
import type { Frame } from './frames.js';
import type { TensorData } from './tensor.js';

const tensors: [string, TensorData][] = [
  ['a', { datatype: 'UINT8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
  ['ünï', { datatype: 'FP32', shape: [0, 4], data: new Uint8Array() }],
  ['b', { datatype: 'INT64', shape: [], data: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 128) }],
];

function bytesOf(count: number): Buffer {
  const frames = Array.from({ length: count }, (_, index) =>
    Buffer.concat(addressed(encodeFrame({ index }, tensors), { file: undefined })),
  );
  return Buffer.concat(frames);
}

const noFile = () => {
  throw new Error('nothing lies in a file');
};

describe('frames', () => {
  it.each([1, 2, 7, 8, 15, 16, 17, 100, 10_000])('arrive whole in pieces of %i bytes', (size) => {
    const received: Frame[] = [];
    const push = createFrameReader((frame) => received.push(frame), noFile);
    const bytes = bytesOf(5);
    for (let at = 0; at < bytes.length; at += size) push(bytes.subarray(at, at + size));
    expect(received.map(({ header }) => header['index'])).toEqual([0, 1, 2, 3, 4]);
    for (const frame of received) {
      expect([...frame.tensors].map(([name, { data, ...rest }]) => [name, { ...rest, data: [...data] }])).toEqual(
        tensors.map(([name, { data, ...rest }]) => [name, { ...rest, data: [...data] }]),
      );
    }
  });

  it('find their tensors in the file that they name, among others that carry them', () => {
    const encoded = encodeFrame({ index: 1 }, tensors);
    const file = Buffer.concat(encoded.body);
    const bytes = Buffer.concat([bytesOf(1), ...addressed(encoded, { file: 1, answerFile: 0 }), bytesOf(1)]);
    const received: Frame[] = [];
    const read: number[] = [];
    const push = createFrameReader(
      (frame) => received.push(frame),
      (index, into) => void (read.push(index), file.copy(into)),
    );
    for (let at = 0; at < bytes.length; at += 11) push(bytes.subarray(at, at + 11));
    expect(read).toEqual([1]);
    const all = received.map((frame) => [...frame.tensors.values()].map(({ data }) => [...data]));
    expect(all).toEqual(Array(3).fill(tensors.map(([, { data }]) => [...data])));
    expect(decodePreamble(encoded.front)).toMatchObject({ file: 1, answerFile: 0 });
  });

  it('begin header and tensors at multiples of 8', () => {
    const { paddedHeaderBytes, bodyBytes } = decodePreamble(bytesOf(1));
    expect([paddedHeaderBytes % 8, bodyBytes]).toEqual([0, 16]);
  });

  it('are not written beyond their limits', () => {
    const data = new Uint8Array(2 ** 31 + 8); // never touched, so never in memory
    expect(() => encodeFrame({}, [['x', { datatype: 'UINT8', shape: [data.length], data }]])).toThrow('are beyond');
  });

  it('are refused beyond their limits before anything is allocated', () => {
    const preamble = Buffer.alloc(16);
    preamble.writeDoubleLE(2 ** 40, 8);
    expect(() => createFrameReader(() => {}, noFile)(preamble)).toThrow('is beyond');
    preamble.writeDoubleLE(NaN, 8);
    expect(() => createFrameReader(() => {}, noFile)(preamble)).toThrow('is beyond');
  });
});
