import { tableOf } from '@modelmill/data';
import { writeOnnx } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { defaultSplits, tableExamples } from '../examples.js';
import { calibrate } from './calibrate.js';
import { featureModel, numbers, someCnn } from '../models-for-tests.js';

const rows = 150;
const features = Float32Array.from({ length: rows * 64 }, (_, i) => Math.abs(10 * Math.sin(i * i)));
const table = tableOf({
  featureShape: [64],
  featureNames: [],
  target: 't',
  classes: ['0', '1'],
  features,
  targets: new Float32Array(rows),
});
const examples = tableExamples(table, defaultSplits, {
  kind: 'classes',
  dataset: 'd',
  featureShape: [64],
  classes: 2,
});
const binding = { input: 'input', exampleShape: [64], output: 'probabilities' };

describe('a calibration', () => {
  it('sees every example of the rows asked for, and no other, in batches of its own choice', async () => {
    const odd = Uint32Array.from({ length: rows / 2 }, (_, i) => 2 * i + 1);
    const told: number[] = [];
    const ranges = await calibrate(someCnn(), ['input', 'positive'], {
      binding,
      examples,
      some: odd,
      method: 'minmax',
      signal: new AbortController().signal,
      onProgress: async (done) => void told.push(done),
    });

    const wanted = Float32Array.from([...odd].flatMap((row) => [...features.subarray(64 * row, 64 * row + 64)]));
    await using session = await openSession(writeOnnx(featureModel({ kernels: numbers(36), kernelBias: numbers(4) })));
    const answer = await session.run({ input: { dims: [odd.length, 64], data: wanted } });
    const positive = answer['features']!.data as Float32Array;
    const largest = (values: Float32Array) => values.reduce((a, b) => Math.max(a, b));
    expect(ranges.get('input')!.max).toBe(largest(wanted));
    expect(ranges.get('positive')!.max).toBeCloseTo(largest(positive), 4);
    expect(ranges.get('positive')!.min).toBe(0);
    expect(told).toEqual([1 / 2, 1]);
  });

  it('ends with its signal', async () => {
    const stop = new AbortController();
    const running = calibrate(someCnn(), ['positive'], {
      binding,
      examples,
      some: Uint32Array.from({ length: rows }, (_, i) => i),
      method: 'minmax',
      signal: stop.signal,
      onProgress: async () => stop.abort(),
    });
    await expect(running).rejects.toMatchObject({ kind: 'cancelled' });
  });
});
