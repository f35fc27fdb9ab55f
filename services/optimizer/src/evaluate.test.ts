import { learnCharacters, tableOf, tokensInMemory } from '@modelmill/data';
import type { TensorData } from '@modelmill/runtime';
import { evaluate } from './evaluate.js';
import { tableExamples, textExamples } from './examples.js';
import type { Examples } from './examples.js';
import type { Task } from './task.js';

/** 600 rows of three numbers: more than one batch. */
const rows = 600;
const features = Float32Array.from({ length: 3 * rows }, (_, i) => Math.cos(i));
const content = { featureShape: [3], featureNames: ['a', 'b', 'c'], target: 't', features };
const splits = { train: 0.5, validation: 0, test: 0.5, seed: 0n };
const inClasses = tableExamples(
  tableOf({ ...content, classes: ['0', '1', '2'], targets: Float32Array.from({ length: rows }, (_, i) => i % 3) }),
  splits,
  { kind: 'classes', dataset: 'd', featureShape: [3], classes: 3 },
);
const inNumbers = tableExamples(
  tableOf({ ...content, classes: undefined, targets: Float32Array.from({ length: rows }, (_, i) => Math.sin(i)) }),
  splits,
  { kind: 'numbers', dataset: 'd', featureShape: [3] },
);

/** Answers by what it is given, the bytes in the midst of a larger buffer. */
const runner = (answer: (input: TensorData) => Float32Array) => ({
  run: async (_id: string, inputs: ReadonlyMap<string, TensorData>) => {
    const bytes = new Uint8Array(answer(inputs.get('x')!).buffer);
    const data = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5)]).subarray(3, 3 + bytes.length);
    return { outputs: new Map([['y', { datatype: 'FP32', shape: [], data }]]), computeNs: 0n };
  },
});
const floats = (then: (x: Float32Array) => Float32Array) =>
  runner(({ data }) => then(new Float32Array(Uint8Array.from(data).buffer)));
const measured = (by: ReturnType<typeof runner>, examples: Examples, exampleShape = [3]) =>
  evaluate(
    by,
    { id: 'm', name: 'the result', binding: { input: 'x', exampleShape, output: 'y' } },
    examples,
    new AbortController().signal,
  );
const softmax = (x: Float32Array) =>
  x.map((value, i) => {
    const row = Math.floor(i / 3) * 3;
    return Math.exp(value) / (Math.exp(x[row]!) + Math.exp(x[row + 1]!) + Math.exp(x[row + 2]!));
  });

describe('an evaluation of classes', () => {
  const expected = [...inClasses.heldOut].map((row) => {
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
  ])('gives every metric of %s, over all batches', async (_, scores) => {
    const { accuracy, loss, ...more } = await measured(floats(scores), inClasses);
    expect(accuracy).toBe(mean(({ right }) => right));
    expect(loss).toBeCloseTo(
      mean(({ loss: one }) => one),
      5,
    );
    expect(Object.keys(more)).toEqual(['precision', 'recall', 'f1', 'auc']);
  });

  it('leaves out what has no value there', async () => {
    const oneClass: Examples = { ...inClasses, targets: (some) => new Float32Array(some.length) };
    expect(await measured(floats(softmax), oneClass)).not.toHaveProperty('auc');
  });

  it.each([Number.NaN, Infinity])('fails where an answer is %f, with the tensor and the row', async (odd) => {
    const broken = floats((x) => {
      const y = softmax(x);
      y[7] = odd;
      return y;
    });
    const row = inClasses.heldOut[2]! + 1;
    await expect(measured(broken, inClasses)).rejects.toThrow(
      `'y' of the result is ${odd} for row ${row} of 'd', wants numbers`,
    );
  });
});

it('an evaluation of numbers gives their errors and what is explained', async () => {
  const first = floats((x) => x.filter((_, i) => i % 3 === 0));
  const errors = [...inNumbers.heldOut].map((row) => Math.cos(3 * row) - Math.sin(row));
  const squares = errors.reduce((sum, error) => sum + error * error, 0) / errors.length;
  const figures = await measured(first, inNumbers);
  expect(figures.loss).toBeCloseTo(squares, 5);
  expect(figures.rmse).toBeCloseTo(Math.sqrt(squares), 5);
  expect(figures.mae).toBeCloseTo(errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length, 5);
  expect(figures).toHaveProperty('r2');
  expect(figures).not.toHaveProperty('accuracy');
});

describe('an evaluation of text', () => {
  const tokenizer = learnCharacters(['abc']);
  const task: Task = { kind: 'text', dataset: 'song', context: 4, tokenizer };
  // abcabc… : 30 characters, the last 10 of which are two windows and one token more
  const tokens = tokensInMemory(Uint16Array.from({ length: 30 }, (_, i) => i % 3));
  const examples = textExamples(tokens, { train: 0.5, validation: 0.5 - 1 / 3, test: 1 / 3, seed: 0n }, task);
  /** So sure of the letter that follows in the alphabet. */
  const sure = (share: number) =>
    runner(({ shape, data }) => {
      const given = new BigInt64Array(Uint8Array.from(data).buffer);
      expect(shape).toEqual([2, 4]);
      return Float32Array.from({ length: 3 * given.length }, (_, i) =>
        i % 3 === (Number(given[Math.floor(i / 3)]) + 1) % 3 ? share : (1 - share) / 2,
      );
    });

  it('counts every token of the windows, none of which overlap', async () => {
    expect([...examples.heldOut]).toEqual([20, 24]);
    expect(examples.split).toBe('test');
    const figures = await measured(sure(0.8), examples, [4]);
    expect(figures.accuracy).toBe(1);
    expect(figures.perplexity).toBeCloseTo(1 / 0.8, 6);
    expect(figures.loss).toBeCloseTo(-Math.log(0.8), 6);
  });

  it('measures on the validation part where nothing is left for a test', () => {
    const more = textExamples(tokens, { train: 0.5, validation: 0.5, test: 0, seed: 0n }, task);
    expect([...more.heldOut]).toEqual([15, 19, 23]);
    expect(more.split).toBe('validation');
  });

  it('names the window where an answer is no number', async () => {
    const broken = runner(({ shape }) => new Float32Array(3 * shape[0]! * shape[1]!).fill(Number.NaN, 15));
    await expect(measured(broken, examples, [4])).rejects.toThrow("is NaN for the window at token 24 of 'song'");
  });
});
