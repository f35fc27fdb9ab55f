import { closeSync } from 'node:fs';
import { createExchangeFiles, openExchangeDescriptors } from './exchange-files.js';
import type { ExchangeFiles } from './exchange-files.js';
import { createFrameReader, decodePreamble, encodeFrame, sendFrame } from './frames.js';
import type { Frame } from './frames.js';
import type { TensorData } from './tensor.js';

const tensors: [string, TensorData][] = [
  ['a', { datatype: 'UINT8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
  ['ünï', { datatype: 'FP32', shape: [0, 4], data: new Uint8Array() }],
  ['b', { datatype: 'INT64', shape: [], data: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 128) }],
];

const noFiles = createExchangeFiles();

function sent(index: number, of: typeof tensors, exchange: ExchangeFiles): Buffer {
  const pieces: Uint8Array[] = [];
  sendFrame(encodeFrame({ index }, of), { file: 1, answerFile: 0 }, exchange, (more) => pieces.push(...more));
  return Buffer.concat(pieces);
}

const bytesOf = (count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => sent(index, tensors, noFiles)));

describe('frames', () => {
  it.each([1, 2, 7, 8, 15, 16, 17, 100, 10_000])('arrive whole in pieces of %i bytes', (size) => {
    const received: Frame[] = [];
    const push = createFrameReader((frame) => received.push(frame), noFiles);
    const bytes = bytesOf(5);
    for (let at = 0; at < bytes.length; at += size) push(bytes.subarray(at, at + size));
    expect(received.map(({ header }) => header['index'])).toEqual([0, 1, 2, 3, 4]);
    for (const frame of received) {
      expect([...frame.tensors].map(([name, { data, ...rest }]) => [name, { ...rest, data: [...data] }])).toEqual(
        tensors.map(([name, { data, ...rest }]) => [name, { ...rest, data: [...data] }]),
      );
    }
  });

  describe('with tensors in a file', () => {
    const large: typeof tensors = [
      ...tensors,
      ['large', { datatype: 'UINT8', shape: [5 * 2 ** 20], data: Buffer.alloc(5 * 2 ** 20, 'large ') }],
    ];
    let descriptors: readonly number[];
    beforeEach(() => (descriptors = openExchangeDescriptors() ?? []));
    afterEach(() => descriptors.forEach((descriptor) => closeSync(descriptor)));

    /** Compared in a moment, where Jest takes seconds for bytes. */
    const text = (data: Uint8Array) => Buffer.from(data).toString('latin1');

    /** What a reader has of a frame between two others. */
    function read(bytes: Buffer, exchange: ExchangeFiles) {
      const received: Frame[] = [];
      const push = createFrameReader((frame) => received.push(frame), exchange);
      const all = Buffer.concat([bytesOf(1), bytes, bytesOf(1)]);
      const step = bytes.length > 2 ** 20 ? 2 ** 16 : 11;
      for (let at = 0; at < all.length; at += step) push(all.subarray(at, at + step));
      return received.map(({ tensors: got }) => [...got.values()].map(({ data }) => text(data)));
    }

    const texts = (of: typeof tensors) => of.map(([, { data }]) => text(data));
    const wanted = [texts(tensors), texts(large), texts(tensors)];

    it('find them, among others that carry them', () => {
      const exchange = createExchangeFiles(descriptors);
      const bytes = sent(1, large, exchange);
      expect(bytes.length).toBeLessThan(1000);
      expect(decodePreamble(bytes)).toMatchObject({ file: 1, answerFile: 0 });
      expect(read(bytes, exchange)).toEqual(wanted);
    });

    it('carry them after all where the file has no more room', () => {
      const exchange = createExchangeFiles(descriptors);
      let parts = 0;
      const full: ExchangeFiles = {
        ...exchange,
        // as a file does when memory is full: some parts, and no more
        write: (file, pieces, onPart) => {
          exchange.write(file, pieces, (end) => parts++ < 1 && onPart(end));
          return false;
        },
      };
      expect(read(sent(1, large, full), exchange)).toEqual(wanted);
      expect(parts).toBe(6);
    });

    it.each([0, 2 ** 30])('are refused where a part ends at %i', (end) => {
      const exchange = createExchangeFiles(descriptors);
      const bytes = sent(1, large, exchange);
      bytes.writeUInt32LE(end, bytes.length - 6 * 4);
      expect(() => read(bytes, exchange)).toThrow(`a part from 0 to ${end} is none of`);
    });
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
    expect(() => createFrameReader(() => {}, noFiles)(preamble)).toThrow('is beyond');
    preamble.writeDoubleLE(NaN, 8);
    expect(() => createFrameReader(() => {}, noFiles)(preamble)).toThrow('is beyond');
  });
});
