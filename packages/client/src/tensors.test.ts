import { decodeTensor, encodeTensor } from './tensors.js';

describe('a tensor', () => {
  it('is little-endian and row-major on the wire', () =>
    expect(encodeTensor({ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, -2] }).toString('hex')).toBe(
      '0000803f000000c0',
    ));

  it('of 64-bit integers takes numbers and bigints', () => {
    const tensor = { name: 'x', datatype: 'INT64', shape: [1] } as const;
    expect(encodeTensor({ ...tensor, data: [-2] })).toEqual(encodeTensor({ ...tensor, data: [-2n] }));
  });

  it('of text is each string after its length', () => {
    const bytes = encodeTensor({ name: 'x', datatype: 'BYTES', shape: [2], data: ['hé', ''] });
    expect(bytes.toString('hex')).toBe('0300000068c3a900000000');
    expect(decodeTensor('BYTES', bytes)).toEqual(['hé', '']);
  });

  it('is read from bytes that lie unaligned in memory', () =>
    expect([...decodeTensor('FP32', Buffer.from('ff0000803f', 'hex').subarray(1))]).toEqual([1]));

  it('with too few elements is refused by name', () =>
    expect(() => encodeTensor({ name: 'pixels', datatype: 'FP32', shape: [2, 3], data: [1] })).toThrow(
      "input 'pixels' has 1 elements, its shape [2, 3] takes 6",
    ));
});
