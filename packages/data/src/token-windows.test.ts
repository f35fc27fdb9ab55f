import { createTokenWriter, tokensInMemory } from './token-stream.js';
import { eachWindow, sampleWindows, splitTokens } from './token-windows.js';

const tokens = Uint16Array.from({ length: 1000 }, (_, i) => i);
const stream = tokensInMemory(tokens);
const sampling = { batchSize: 8, context: 16, seed: 7n };

describe('the windows of a text', () => {
  it('are the same for the same seed and step, and others elsewhere', () => {
    const { train } = splitTokens(1000, { train: 0.9, validation: 0.1, test: 0 });
    const windows = sampleWindows(stream, train, { ...sampling, step: 5 });
    expect(sampleWindows(stream, train, { ...sampling, step: 5 })).toEqual(windows);
    expect(sampleWindows(stream, train, { ...sampling, step: 6 })).not.toEqual(windows);
    expect(sampleWindows(stream, train, { ...sampling, step: 5, seed: 8n })).not.toEqual(windows);
  });

  it('are stretches with their successors, from everywhere in their part and never beyond it', () => {
    const range = { start: 100, end: 140 };
    const starts = new Set<number>();
    for (let step = 0; step < 100; step++) {
      const { inputs, targets, size } = sampleWindows(stream, range, { ...sampling, step });
      expect(size).toBe(8);
      expect(targets).toEqual(inputs.map((token) => token + 1));
      for (let i = 0; i < size; i++) {
        expect(inputs[i * 16 + 15]! - inputs[i * 16]!).toBe(15);
        starts.add(inputs[i * 16]!);
      }
    }
    expect([Math.min(...starts), Math.max(...starts), starts.size]).toEqual([100, 123, 24]);
  });

  it('cover a part once, without overlap, to measure on', () => {
    const range = { start: 900, end: 1000 };
    const all = [...eachWindow(stream, range, { batchSize: 4, context: 16 })];
    expect(all.map(({ size }) => size)).toEqual([4, 2]);
    expect(all.flatMap(({ inputs }) => [...inputs])).toEqual(Array.from({ length: 96 }, (_, i) => 900 + i));
    expect(all.flatMap(({ targets }) => [...targets])).toEqual(Array.from({ length: 96 }, (_, i) => 901 + i));
  });

  it('need a part of more than one window', () => {
    const range = { start: 0, end: 16 };
    expect(() => sampleWindows(stream, range, { ...sampling, step: 0 })).toThrow('has 16 tokens, a window of 16');
    expect(() => [...eachWindow(stream, range, sampling)]).toThrow('wants 17');
    expect(sampleWindows(stream, { start: 0, end: 17 }, { ...sampling, step: 0 }).inputs[0]).toBe(0);
  });
});

describe('the parts of a text', () => {
  it('follow each other: to train on, for validation, for test', () =>
    expect(splitTokens(1000, { train: 0.8, validation: 0.1, test: 0.1 })).toEqual({
      train: { start: 0, end: 800 },
      validation: { start: 800, end: 900 },
      test: { start: 900, end: 1000 },
    }));

  it('leave nothing out', () =>
    expect(splitTokens(7, { train: 0.9, validation: 0.1, test: 0 }).validation).toEqual({ start: 6, end: 7 }));
});

it('a stream of tokens reads the same from a file as from memory', () => {
  const [small, large] = [createTokenWriter(100), createTokenWriter()];
  for (let at = 0; at < 1000; at += 9) {
    small.add(tokens.slice(at, at + 9));
    large.add(tokens.slice(at, at + 9));
  }
  const [file, memory] = [small.finish(), large.finish()];
  expect([file.length, memory.length]).toEqual([1000, 1000]);
  const [a, b] = [new Uint16Array(300), new Uint16Array(300)];
  file.read(555, a);
  memory.read(555, b);
  expect(a).toEqual(tokens.slice(555, 855));
  expect(b).toEqual(a);
});
