import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { inferenceModel } from '../inference-model.js';
import { numbers, runnable } from '../run-for-tests.js';
import { trainOn } from '../train-for-tests.js';
import { fineTune } from './fine-tune.js';

/** A model of functions, and as the onnx package writes them out: bench/peers/make_function_model.py. */
const files = JSON.parse(
  readFileSync(fileURLToPath(new URL('../function-model.json', import.meta.url)), 'utf8'),
) as Record<'calls' | 'flat', string>;
const open = (name: 'calls' | 'flat') => readOnnx(Buffer.from(files[name], 'base64'));

const batch = 8;
const features = { dims: [batch, 6], data: numbers(batch * 6) };
const targets = { dims: [batch], data: BigInt64Array.from({ length: batch }, (_, i) => BigInt(i % 3)) };
const logitsOf = async (model: Model) => {
  const { inputs, outputs } = model.graph;
  return Array.from((await (await runnable(model))({ [inputs[0]!.name]: features }))[outputs[0]!.name]!);
};
const options = { exampleShape: [6], random: (stream: number, count: number) => numbers(count, { seed: stream + 1 }) };

describe('a model of functions', () => {
  it('is trained on as its functions written out are, to the bit', async () => {
    const ends = await Promise.all(
      [open('calls'), open('flat')].map(async (base) => {
        const { forward, merged, plain } = fineTune(base, options);
        const { losses, weights } = await trainOn(forward, { features, targets, steps: 30, learningRate: 0.05 });
        const [before, after] = [
          await logitsOf(base),
          await logitsOf(inferenceModel(plain, new Map(), { softmax: false })),
        ];
        expect(after).toEqual(before);
        return { losses, weights: merged(weights) };
      }),
    );
    const [calls, flat] = ends as [(typeof ends)[0], (typeof ends)[0]];
    expect([...calls.weights.keys()].sort()).toEqual(['b1', 'b3', 'w1', 'w2', 'w3']);
    expect(calls).toEqual(flat);
    expect(calls.losses.at(-1)).toBeLessThan(calls.losses[0]! / 2);
  });
});
