import { encodeStrings } from '@modelmill/runtime';
import type { TensorData } from '@modelmill/runtime';
import { floatValues } from './float-values.js';
import { createOutputComparison } from './output-comparison.js';

const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const floats = (shape: number[], values: Iterable<number>): TensorData => ({
  datatype: 'FP32',
  shape,
  data: bytes(Float32Array.from(values)),
});
const compared = async (answered: TensorData, shadow: TensorData | undefined, batched = true) => {
  const comparison = createOutputComparison('y');
  await comparison.add(answered, shadow, batched);
  return comparison.message();
};

it('tells the largest and the mean squared difference of floats, and in how many rows the largest score is the same', async () => {
  const told = await compared(floats([3, 2], [1, 2, 5, 4, 0, 3]), floats([3, 2], [2, 1, 5, 4, 0.5, 3]));
  expect(told).toMatchObject({ compared: 1n, elements: 6n, equalElements: 3n, rows: 3n, agreeingRows: 2n });
  expect(told.maxDifference).toBe(1);
  expect(told.rmsDifference).toBeCloseTo(Math.sqrt((1 + 1 + 0.25) / 6), 6);
  expect(told.rmsAnswered).toBeCloseTo(Math.sqrt((1 + 4 + 25 + 16 + 9) / 6), 6);
});

it('takes an axis of rows for no scores', async () => {
  expect(await compared(floats([4], [1, 2, 3, 4]), floats([4], [4, 3, 2, 1]))).toMatchObject({ rows: 0n });
  expect(await compared(floats([4], [1, 2, 3, 4]), floats([4], [4, 3, 2, 1]), false)).toMatchObject({
    rows: 1n,
    agreeingRows: 0n,
  });
});

it('keeps what is infinite or no number on one side alone out of the differences', async () => {
  const told = await compared(floats([5], [NaN, NaN, Infinity, Infinity, 1]), floats([5], [NaN, 1, Infinity, 1, 3]));
  expect(told).toMatchObject({ elements: 5n, equalElements: 2n, unlikeElements: 2n, maxDifference: 2 });
});

it('compares more than one slice, and tensors that do not lie aligned, as if they did', async () => {
  const count = 200_000;
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  const shifted = new Uint8Array(4 * count + 1);
  shifted.set(bytes(values.map((value, i) => (i === count - 1 ? value + 1 : value))), 1);
  const shape = [count / 10, 10];
  const told = await compared(floats(shape, values), { datatype: 'FP32', shape, data: shifted.subarray(1) });
  expect(told).toMatchObject({ elements: 200_000n, equalElements: 199_999n, rows: 20_000n });
  expect(told.maxDifference).toBeCloseTo(1, 5);
});

it('lets others have their turn between slices, whatever the datatype', async () => {
  const count = 2 ** 18;
  for (const [datatype, values] of [
    ['FP16', new Uint16Array(count)],
    ['INT32', new Int32Array(count)],
    ['BYTES', new Uint32Array(count)], // empty strings are nothing but their lengths
  ] as const) {
    const other = values.slice();
    if (datatype !== 'BYTES') other[count - 1] = 1;
    const tensor = (data: ArrayBufferView): TensorData => ({ datatype, shape: [count], data: bytes(data) });
    let done = false;
    const told = compared(tensor(values), tensor(other)).finally(() => (done = true));
    let turns = 0;
    for (; !done; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(turns).toBeGreaterThanOrEqual(4);
    const equal = datatype === 'BYTES' ? count : count - 1;
    expect(await told).toMatchObject({ elements: BigInt(count), equalElements: BigInt(equal) });
  }
});

it('finds the strings that differ among many, of any lengths, wherever they lie', async () => {
  const count = 20_000;
  const text = (i: number) => `${'ü'.repeat(i % 50)}${i}`;
  const ours = Array.from({ length: count }, (_, i) => text(i));
  const theirs = ours.map((of, i) => (i % 3 === 0 ? `${of}+` : i % 7 === 0 ? text(i + 50) : of));
  const shifted = Buffer.concat([Buffer.alloc(1), encodeStrings(theirs)]).subarray(1);
  const tensor = (data: Uint8Array): TensorData => ({ datatype: 'BYTES', shape: [count], data });
  const equal = ours.filter((of, i) => of === theirs[i]).length;
  expect(await compared(tensor(encodeStrings(ours)), tensor(shifted))).toMatchObject({ equalElements: BigInt(equal) });
});

it('counts equal elements of all other datatypes', async () => {
  const whole = (...values: bigint[]) => ({ datatype: 'INT64', shape: [3], data: bytes(BigInt64Array.from(values)) });
  expect(await compared(whole(1n, 2n, 3n), whole(1n, 3n, 3n))).toMatchObject({ elements: 3n, equalElements: 2n });
  const texts = (...values: string[]) => ({ datatype: 'BYTES', shape: [3], data: encodeStrings(values) });
  expect(await compared(texts('a', 'bc', ''), texts('abc', 'bc', ''))).toMatchObject({
    elements: 3n,
    equalElements: 2n,
  });
});

it('counts what can not be compared under its own name', async () => {
  const answered = floats([2], [1, 2]);
  expect(await compared(answered, undefined)).toMatchObject({ missing: 1n, compared: 0n });
  expect(await compared(answered, floats([1, 2], [1, 2]))).toMatchObject({ otherShape: 1n, compared: 0n });
  expect(await compared(answered, { ...answered, datatype: 'INT32' })).toMatchObject({
    otherDatatype: 1n,
    compared: 0n,
  });
});

it('reads half floats by the standard', () => {
  // from IEEE 754-2019, table 3.5: one, minus two, the largest, the smallest normal and subnormal, infinity, no number
  const bits = Uint16Array.from([0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0x7e00]);
  const values = floatValues({ datatype: 'FP16', data: bytes(bits) });
  expect([...values!]).toEqual([1, -2, 65504, 2 ** -14, 2 ** -24, Infinity, NaN]);
});
