import { tableOf } from '@modelmill/data';
import { evaluate, examplesOf } from './evaluate.js';

const classifier = { input: 'x', exampleShape: [3], output: 'y' };

/** 600 rows of three numbers, in two classes and more: more than one batch. */
const rows = 600;
const features = Float32Array.from({ length: 3 * rows }, (_, i) => Math.cos(i));
const table = tableOf({
  featureShape: [3],
  featureNames: ['a', 'b', 'c'],
  target: 't',
  classes: ['0', '1', '2'],
  features,
  targets: Float32Array.from({ length: rows }, (_, i) => i % 3),
});

/** Answers with the examples themselves, its bytes in the midst of a larger buffer. */
const echo = (scores: (x: Float32Array) => Float32Array) => ({
  run: async (_id: string, inputs: ReadonlyMap<string, { shape: number[]; data: Uint8Array }>) => {
    const { shape, data } = inputs.get('x')!;
    const bytes = new Uint8Array(scores(new Float32Array(data.buffer)).buffer);
    const padded = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)]).subarray(3, 3 + bytes.length);
    return { outputs: new Map([['y', { datatype: 'FP32', shape, data: padded }]]), computeNs: 0n };
  },
});
const softmax = (x: Float32Array) =>
  x.map((value, i) => {
    const row = Math.floor(i / 3) * 3;
    return Math.exp(value) / (Math.exp(x[row]!) + Math.exp(x[row + 1]!) + Math.exp(x[row + 2]!));
  });

describe('an evaluation', () => {
  const some = Uint32Array.from({ length: 300 }, (_, i) => 2 * i);
  const expected = [...some].map((row) => {
    const x = [0, 1, 2].map((column) => Math.cos(3 * row + column));
    const target = row % 3;
    const total = x.reduce((sum, value) => sum + Math.exp(value), 0);
    return { right: x[target] === Math.max(...x) ? 1 : 0, loss: -Math.log(Math.exp(x[target]!) / total) };
  });
  const mean = (pick: (one: { right: number; loss: number }) => number) =>
    expected.reduce((sum, one) => sum + pick(one), 0) / expected.length;

  it.each([
    ['logits', (x: Float32Array) => x.slice()],
    ['probabilities', softmax],
  ])('gives accuracy and mean cross-entropy of %s, over all batches', async (_, scores) => {
    const runner = echo(scores);
    const { accuracy, loss } = await evaluate(runner, 'm', classifier, table, some, new AbortController().signal);
    expect(accuracy).toBe(mean(({ right }) => right));
    expect(loss).toBeCloseTo(
      mean(({ loss: one }) => one),
      5,
    );
  });

  it('counts a probability that underflowed to 0 as the smallest float', async () => {
    const runner = echo((x) => x.map((_, i) => (i % 3 === 0 ? 1 : 0)));
    const { loss } = await evaluate(runner, 'm', classifier, table, Uint32Array.of(1), new AbortController().signal);
    expect(loss).toBeCloseTo(-Math.log(1.2e-38), 3);
  });

  it('feeds the rows asked for, in their order', () => {
    const { shape, data } = examplesOf(table, Uint32Array.of(5, 2), classifier);
    expect(shape).toEqual([2, 3]);
    expect([...new Float32Array(data.buffer)]).toEqual([...features.subarray(15, 18), ...features.subarray(6, 9)]);
  });
});
