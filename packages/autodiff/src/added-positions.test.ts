import { writeOnnx } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { emit } from './emit.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { numbers } from './run-for-tests.js';
import { input } from './value.js';

const [width, count] = [128, 4096];

it.each([
  ['Gather', [count], 7, false],
  ['GatherND', [count, 1], 7, false],
  ['Gather', [count], 4200, true],
] as const)(
  'no addition of the gradient of %s (%j, of %d rows, faster forms: %p) is lost, however many threads there are',
  async (opType, places, vocabulary, columns) => {
    const [table, weights] = [input('table', [vocabulary, width]), input('weights', [count, width])];
    const indices = input('indices', places, 'int64');
    const read = op.make(opType, [table, indices], [count, width]);
    const found = gradients(op.sum(op.mul(read, weights)), [table], { columns });
    const outputs = new Map([['gradient', found.get(table)!]]);
    const model = writeOnnx(emit({ name: 'adding', inputs: [weights, indices], outputs }));
    const session = await InferenceSession.create(model, { intraOpNumThreads: 8, logSeverityLevel: 3 });

    const of = BigInt64Array.from(numbers(count, { low: 0, high: vocabulary }), (value) => BigInt(Math.floor(value)));
    const by = numbers(count * width);
    const wanted = new Float64Array(vocabulary * width);
    by.forEach((value, i) => (wanted[Number(of[Math.floor(i / width)]) * width + (i % width)]! += value));
    for (let i = 0; i < (vocabulary < count ? 30 : 5); i++) {
      const results = await session.run({
        weights: new Tensor('float32', by, [count, width]),
        indices: new Tensor('int64', of, places),
      });
      const got = results['gradient']!.data as Float32Array;
      const worst = wanted.reduce((most, value, at) => Math.max(most, Math.abs(value - got[at]!)), 0);
      expect(worst).toBeLessThan(1e-3);
    }
    await session.release();
  },
);

it('the gradient of a table is added up in the same rows every time, however many threads there are', async () => {
  const [vocabulary, many, few] = [70_000, 60_000, 2];
  const [table, weights] = [input('table', [vocabulary, few]), input('weights', [many, few])];
  const indices = input('indices', [many], 'int64');
  const read = op.make('Gather', [table, indices], [many, few]);
  const found = gradients(op.sum(op.mul(read, weights)), [table], { columns: true }).get(table)!;
  const outputs = new Map([['sums', found.rows!.sums]]);
  const model = writeOnnx(emit({ name: 'adding', inputs: [weights, indices], outputs }));
  const session = await InferenceSession.create(model, { intraOpNumThreads: 8, logSeverityLevel: 3 });
  // every position comes six times, far from each other
  const of = BigInt64Array.from({ length: many }, (_, i) => BigInt(i % 10_000));
  const feeds = {
    weights: new Tensor('float32', numbers(many * few), [many, few]),
    indices: new Tensor('int64', of, [many]),
  };
  const sums = async () => Buffer.from(((await session.run(feeds))['sums']!.data as Float32Array).slice().buffer);
  const first = await sums();
  for (let i = 0; i < 20; i++) expect((await sums()).equals(first)).toBe(true);
  await session.release();
});
