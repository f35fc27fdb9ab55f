// Trains a network of races.ts as the trainer's process does, and as torch_train.py does with PyTorch: reads
// a number of steps per line and answers with examples per second and the most memory it held so far, in MiB.
import { createInterface } from 'node:readline';
import { dataParallelStep, trainingStep } from '@modelmill/autodiff';
import type { StepOptions } from '@modelmill/autodiff';
import { openSteps, shares } from '@modelmill/trainer';
import { buildRace, races } from './races.js';
import type { Race, RaceName } from './races.js';

const [name = '', threads = '', provider = 'cpu'] = process.argv.slice(2);
const race: Race = races[name as RaceName];
const { batchSize, exampleShape, classes, vocabulary, targetPerPlace = false } = race;
const { forward } = buildRace(name as RaceName);
const options: StepOptions = {
  batchSize,
  exampleShape,
  loss: { kind: 'cross_entropy' },
  optimizer: race.optimizer ?? { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  ...(race.clipNorm === undefined ? {} : { clipNorm: race.clipNorm }),
  decayMatricesOnly: true,
  columns: provider === 'cpu', // as the trainer has it
};
const parallel = provider === 'cpu' ? dataParallelStep(forward, options, shares) : undefined; // as there
const step = { ...trainingStep(forward, options), ...(parallel ? { parallel } : {}) };
const together = 32; // as there, at most
await using session = await openSteps(
  step,
  { provider: provider as 'cpu' | 'webgpu' | 'cuda' },
  { threads: Number(threads), scanned: provider === 'cuda' }, // threads as PyTorch gets
);
const { runEach } = session;
session.setState(Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])));

const dims = [batchSize, ...exampleShape];
const count = dims.reduce((product, size) => product * size, 1);
const features =
  vocabulary === undefined
    ? Float32Array.from({ length: count }, (_, i) => (i % 17) / 17)
    : BigInt64Array.from({ length: count }, (_, i) => BigInt((i * 7919) % vocabulary));
const targetDims = targetPerPlace ? dims : [batchSize];
const targets = BigInt64Array.from({ length: targetPerPlace ? count : batchSize }, (_, i) => BigInt(i % classes));
const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });
const { learningRate, corrections } = step.inputs;
const batch = {
  [step.inputs.features]: { dims, data: features },
  [step.inputs.targets]: { dims: targetDims, data: targets },
  [learningRate]: scalar(0.001),
  ...(corrections ? { [corrections.c1]: scalar(1), [corrections.c2]: scalar(1) } : {}),
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line);
  const started = performance.now();
  for (let done = 0; done < steps;) {
    const count = runEach ? Math.min(together, steps - done) : 1;
    await (runEach ? runEach(count, () => Promise.resolve(batch)) : session.run(batch));
    session.advance();
    done += count;
  }
  const speed = (steps * batchSize) / ((performance.now() - started) / 1000);
  console.log(`${speed} ${process.resourceUsage().maxRSS / 1024}`);
}
