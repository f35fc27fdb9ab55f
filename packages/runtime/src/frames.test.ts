import { createFrameReader, decodePreamble, encodeFrame } from './frames.js';
import type { Frame } from './frames.js';
import type { TensorData } from './tensor.js';

const tensors: [string, TensorData][] = [
  ['a', { datatype: 'UINT8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
  ['ünï', { datatype: 'FP32', shape: [0, 4], data: new Uint8Array() }],
  ['b', { datatype: 'INT64', shape: [], data: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 128) }],
];

function bytesOf(count: number): Buffer {
  const frames = Array.from({ length: count }, (_, index) => Buffer.concat(encodeFrame({ index }, tensors)));
  return Buffer.concat(frames);
}

describe('frames', () => {
  it.each([1, 2, 7, 8, 15, 16, 17, 100, 10_000])('arrive whole in pieces of %i bytes', (size) => {
    const received: Frame[] = [];
    const push = createFrameReader((frame) => received.push(frame));
    const bytes = bytesOf(5);
    for (let at = 0; at < bytes.length; at += size) push(bytes.subarray(at, at + size));
    expect(received.map(({ header }) => header['index'])).toEqual([0, 1, 2, 3, 4]);
    for (const frame of received) {
      expect([...frame.tensors].map(([name, { data, ...rest }]) => [name, { ...rest, data: [...data] }])).toEqual(
        tensors.map(([name, { data, ...rest }]) => [name, { ...rest, data: [...data] }]),
      );
    }
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
    expect(() => createFrameReader(() => {})(preamble)).toThrow('is beyond');
    preamble.writeDoubleLE(NaN, 8);
    expect(() => createFrameReader(() => {})(preamble)).toThrow('is beyond');
  });
});
