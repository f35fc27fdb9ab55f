import { decodeStrings } from '@modelmill/runtime';
import { classified } from './classification.js';

const told = (datatype: string, shape: number[], data: ArrayBufferView, most: number, batched = true) => {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const { shape: got, data: texts } = classified('y', { datatype, shape, data: bytes }, most, batched);
  return { shape: got, texts: decodeStrings(texts).map((text) => Buffer.from(text).toString()) };
};

describe('a classification', () => {
  it('has the best values of each row with their places, best first', () => {
    expect(told('FP32', [2, 3], Float32Array.of(0.25, 0.5, 0.125, -1, -3, -2), 2)).toEqual({
      shape: [2, 2],
      texts: ['0.500000:1', '0.250000:0', '-1:0', '-2:2'],
    });
  });

  it('has no more classes than there are, and one row where the model is not batched', () => {
    expect(told('INT64', [2, 2], BigInt64Array.of(1n, 2n ** 60n, 3n, -1n), 9, false)).toEqual({
      shape: [4],
      texts: [`${2n ** 60n}:1`, '3:2', '1:0', '-1:3'],
    });
  });

  it('puts what is no number last, and equal values in their order', () => {
    expect(told('FP64', [1, 4], Float64Array.of(NaN, 1, 1, Infinity), 4).texts).toEqual([
      'Infinity:3',
      '1:1',
      '1:2',
      'NaN:0',
    ]);
  });

  it('of no rows is empty', () => {
    expect(told('FP32', [0, 3], new Float32Array(), 2)).toEqual({ shape: [0, 0], texts: [] });
  });

  it('is refused for texts', () => {
    expect(() => told('BYTES', [1], new Uint8Array(), 1)).toThrow("unsupported type 'BYTES'");
  });
});
