import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { emit } from './emit.js';
import { gradients } from './gradients.js';
import { distillationLoss, lossOf } from './losses.js';
import { runnable } from './run-for-tests.js';
import type { LossTerm } from './step-options.js';
import { input } from './value.js';

/** Made by bench/peers/make_loss_vectors.py. */
const vectors = JSON.parse(readFileSync(fileURLToPath(new URL('loss-vectors.json', import.meta.url)), 'utf8')) as {
  readonly torch: string;
  readonly cases: readonly {
    readonly name: string;
    readonly loss: LossTerm | readonly LossTerm[];
    readonly shape: readonly number[];
    readonly x: readonly number[];
    readonly targets: readonly number[];
    readonly value: number;
    readonly gradient: readonly number[];
  }[];
  readonly distillations: readonly {
    readonly temperature: number;
    readonly shape: readonly number[];
    readonly x: readonly number[];
    readonly teacher: readonly number[];
    readonly value: number;
    readonly gradient: readonly number[];
  }[];
};

describe(`losses and their gradients are PyTorch ${vectors.torch}'s`, () => {
  it.each(vectors.cases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
    const x = input('x', one.shape);
    const { value, targets } = lossOf(one.loss, x, 'targets');
    const gradient = gradients(value, [x]).get(x)!;
    const outputs = new Map([
      ['loss', value],
      ['gradient', gradient],
    ]);
    const run = await runnable(emit({ name: 'loss', inputs: [x, targets], outputs }));
    const data =
      targets.dataType === 'int64' ? BigInt64Array.from(one.targets, BigInt) : Float32Array.from(one.targets);
    const got = await run({
      x: { dims: one.shape, data: Float32Array.from(one.x) },
      targets: { dims: targets.shape, data },
    });
    expect(got['loss']![0]).toBeCloseTo(one.value, 5);
    const off = one.gradient.map((wanted, i) => Math.abs(wanted - got['gradient']![i]!));
    expect(Math.max(...off)).toBeLessThan(1e-6);
    expect(got['gradient']).toHaveLength(one.gradient.length);
  });

  it.each(vectors.distillations)('distillation at a temperature of $temperature', async (one) => {
    const [x, teacher] = [input('x', one.shape), input('teacher', one.shape)];
    const value = distillationLoss(x, teacher, one.temperature);
    const outputs = new Map([
      ['loss', value],
      ['gradient', gradients(value, [x]).get(x)!],
    ]);
    const run = await runnable(emit({ name: 'loss', inputs: [x, teacher], outputs }));
    const got = await run({
      x: { dims: one.shape, data: Float32Array.from(one.x) },
      teacher: { dims: one.shape, data: Float32Array.from(one.teacher) },
    });
    expect(got['loss']![0]).toBeCloseTo(one.value, 5);
    const off = one.gradient.map((wanted, i) => Math.abs(wanted - got['gradient']![i]!));
    expect(Math.max(...off)).toBeLessThan(1e-6);
  });
});
