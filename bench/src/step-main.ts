// Trains a network of races.ts with ONNX Runtime alone, in a process of its own, as torch_train.py does with PyTorch: reads
// a number of steps per line and answers with examples per second and the most memory it held so far, in MiB.
import { createInterface } from 'node:readline';
import { trainingStep } from '@modelmill/autodiff';
import { writeOnnx } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { buildRace, races } from './races.js';
import type { Race, RaceName } from './races.js';

const [name = '', threads = ''] = process.argv.slice(2);
const race: Race = races[name as RaceName];
const { batchSize, exampleShape, classes, vocabulary, targetPerPlace = false } = race;
const step = trainingStep(buildRace(name as RaceName).forward, {
  batchSize,
  exampleShape,
  loss: { kind: 'cross_entropy' },
  optimizer: race.optimizer ?? { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  ...(race.clipNorm === undefined ? {} : { clipNorm: race.clipNorm }),
  decayMatricesOnly: true,
});
const session = await InferenceSession.create(writeOnnx(step.model), {
  logSeverityLevel: 3,
  intraOpNumThreads: Number(threads), // as PyTorch gets
  // as the trainer has it
  enableCpuMemArena: true,
  graphOptimizationLevel: 'extended',
});

const dims = [batchSize, ...exampleShape];
const count = dims.reduce((product, size) => product * size, 1);
const features =
  vocabulary === undefined
    ? new Tensor(
        'float32',
        Float32Array.from({ length: count }, (_, i) => (i % 17) / 17),
        dims,
      )
    : new Tensor(
        'int64',
        BigInt64Array.from({ length: count }, (_, i) => BigInt((i * 7919) % vocabulary)),
        dims,
      );
const targetDims = targetPerPlace ? dims : [batchSize];
const targets = new Tensor(
  'int64',
  BigInt64Array.from({ length: targetPerPlace ? count : batchSize }, (_, i) => BigInt(i % classes)),
  targetDims,
);
const scalar = (value: number) => new Tensor('float32', Float32Array.of(value), []);
const { learningRate, corrections } = step.inputs;
const batch = {
  [step.inputs.features]: features,
  [step.inputs.targets]: targets,
  [learningRate]: scalar(0.001),
  ...(corrections ? { [corrections.c1]: scalar(1), [corrections.c2]: scalar(1) } : {}),
};
let state: Tensor[] = step.state.map(({ initial, dims: of }) => new Tensor('float32', initial, of));

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const steps = Number(line);
  const started = performance.now();
  for (let i = 0; i < steps; i++) {
    const fed = Object.fromEntries(step.state.map(({ input }, k) => [input, state[k]!]));
    const outputs = await session.run({ ...batch, ...fed });
    state = step.state.map(({ output }) => outputs[output]!);
  }
  const speed = (steps * batchSize) / ((performance.now() - started) / 1000);
  console.log(`${speed} ${process.resourceUsage().maxRSS / 1024}`);
}
