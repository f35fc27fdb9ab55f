import { floatAsJson, floatsAsJson } from './float-text.js';

/** Float32s of all sizes: random bits, and numbers as models give them. */
function floats(count: number): Float32Array {
  const bits = new Uint32Array(count);
  let state = 1;
  for (let i = 0; i < count; i++) bits[i] = state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const values = new Float32Array(bits.buffer);
  for (let i = 0; i < count; i += 2) values[i] = (bits[i]! / 2 ** 32 - 0.5) * 10 ** (i % 9);
  return values.filter((value) => Number.isFinite(value));
}

const digitsOf = (text: string) => text.replace(/e.*|[-.]/g, '').replace(/^0+|0+$/g, '').length;

it('writes no float32 with more digits than it takes to read it back, and each as JSON.stringify would', () => {
  const values = floats(60_000);
  const texts = floatsAsJson(values).toString().slice(1, -1).split(',');
  expect(texts).toHaveLength(values.length);
  const wrong = texts.filter((text, i) => {
    const value = values[i]!;
    const fewest = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((n) => Math.fround(Number(value.toPrecision(n))) === value)!;
    return (
      Math.fround(Number(text)) !== value ||
      JSON.stringify(Number(text)) !== text ||
      digitsOf(text) > Math.max(fewest, 1)
    );
  });
  expect(wrong).toEqual([]);
});

it.each([
  [0, '0'],
  [-0, '-0'],
  [0.1, '0.1'],
  [-124.875, '-124.875'],
  [1e6, '1000000'],
  [2 ** 24 + 2, '16777218'],
  [16384.0625, '16384.063'],
  [1e-6, '0.000001'],
  [9.99999e-7, '9.99999e-7'],
  [-1.5e-10, '-1.5e-10'],
  [1e20, '100000000000000000000'],
  [1e21, '1e+21'],
  [3.4028235e38, '3.4028235e+38'],
  [1e-45, '1e-45'],
  [NaN, '"NaN"'],
  [-Infinity, '"-Infinity"'],
])('prints %d', (value, text) => expect(floatAsJson(Math.fround(value))).toBe(text));

it('has room for the longest of them', () => {
  const values = new Float32Array(1000).fill(Math.fround(-(2 ** 69)));
  expect(floatsAsJson(values).toString()).toBe(JSON.stringify(new Array<number>(1000).fill(-590295800000000000000)));
});
