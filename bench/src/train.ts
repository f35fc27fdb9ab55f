import { createReadStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { trainingStep } from '@modelmill/autodiff';
import { parseTrainingSpec } from '@modelmill/client';
import { writeOnnx } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { build, layersJson } from './networks.js';
import { openMesh } from './open-mesh.js';
import type { BenchMesh } from './open-mesh.js';
import { openTorch } from './torch-peer.js';

const digits = fileURLToPath(new URL('../../examples/data/digits.csv.gz', import.meta.url));
const batchSize = 64;
const textBatchSize = 32;
/** A job of this size trains for a second or two. */
const epochs = { digits: 5, mlp: 10 };
/** The same for the step alone. */
const steps = { digits: 110, mlp: 220, lstm: 50 };

/** Training jobs of a mesh against the same steps run by ONNX Runtime alone, in this process. */
export async function trainContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const mesh = opened.use(await openMesh());
  await mesh.mill.datasets.upload({
    dataset: 'digits',
    content: createReadStream(digits) as AsyncIterable<Uint8Array>,
  });
  const torch = await openTorch();
  if (torch) opened.use(torch);
  else process.stderr.write('the cases against PyTorch are skipped: needs torch (MILL_BENCH_PYTHON names a Python)\n');
  const figures = { unit: 'examples/s', better: 'higher' } as const;
  const contests: Contest[] = [];
  for (const name of ['digits', 'mlp'] as const) {
    const alone = await stepSpeed(name, rows);
    contests.push({
      ...figures,
      case: `train ${name}, batch ${batchSize}, a whole job`,
      against: 'ONNX Runtime running the same step in one process, data at hand',
      goal: 0.9,
      ours: () => jobSpeed(mesh, name),
      theirs: alone,
    });
    if (!torch) continue;
    contests.push({
      ...figures,
      case: `train ${name}, batch ${batchSize}, the step alone`,
      against: `PyTorch ${torch.version} eager on the CPU`,
      goal: 1,
      ours: alone,
      theirs: () => torch.train(name, steps[name]),
    });
  }
  if (torch) {
    contests.push({
      ...figures,
      case: `train lstm, ${textBatchSize} texts of 64 tokens, the step alone`,
      against: `PyTorch ${torch.version} eager on the CPU`,
      goal: 1,
      ours: await stepSpeed('lstm', texts),
      theirs: () => torch.train('lstm', steps.lstm),
    });
  }
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

interface Batch {
  readonly features: Tensor;
  readonly targets: Tensor;
}

const classes = (count: number, of: number) =>
  new Tensor(
    'int64',
    BigInt64Array.from({ length: count }, (_, i) => BigInt(i % of)),
    [count],
  );

const rows: Batch = {
  features: new Tensor(
    'float32',
    Float32Array.from({ length: batchSize * 64 }, (_, i) => i % 17),
    [batchSize, 64],
  ),
  targets: classes(batchSize, 10),
};

const texts: Batch = {
  features: new Tensor(
    'int64',
    BigInt64Array.from({ length: textBatchSize * 64 }, (_, i) => BigInt((i * 7919) % 10_000)),
    [textBatchSize, 64],
  ),
  targets: classes(textBatchSize, 2),
};

/** Examples per second of a whole job: data, shuffling, progress, checkpoints and validation included. */
async function jobSpeed({ mill }: BenchMesh, name: 'digits' | 'mlp'): Promise<number> {
  const spec = parseTrainingSpec({
    model: name,
    data: { dataset: 'digits' },
    layers: layersJson(name),
    epochs: epochs[name],
    batch_size: batchSize,
    seed: 1,
  });
  const { status } = await mill.trainer.submit(spec);
  let speed = 0;
  for await (const job of mill.trainer.watch(status?.jobId ?? '')) {
    speed = job.progress?.examplesPerSecond ?? speed;
    const state = job.status?.state;
    if (state?.$case === 'failed') throw new Error(`the training failed: ${state.failed.reason}`);
  }
  return speed;
}

/** The training step, fed the same batch again and again. */
async function stepSpeed(name: keyof typeof steps, { features, targets }: Batch): Promise<() => Promise<number>> {
  const [examples = 0, ...exampleShape] = features.dims;
  const step = trainingStep(build(name).forward, {
    batchSize: examples,
    exampleShape,
    loss: { kind: 'cross_entropy' },
    optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
  });
  const session = await InferenceSession.create(writeOnnx(step.model), {
    logSeverityLevel: 3,
    intraOpNumThreads: availableParallelism(), // as PyTorch gets
    // as the trainer has it
    enableCpuMemArena: true,
    graphOptimizationLevel: 'extended',
  });
  const scalar = (value: number) => new Tensor('float32', Float32Array.of(value), []);
  const { learningRate, corrections } = step.inputs;
  const batch = {
    [step.inputs.features]: features,
    [step.inputs.targets]: targets,
    [learningRate]: scalar(0.001),
    ...(corrections ? { [corrections.c1]: scalar(1), [corrections.c2]: scalar(1) } : {}),
  };
  let state: Tensor[] = step.state.map(({ initial, dims }) => new Tensor('float32', initial, dims));
  return async () => {
    const started = performance.now();
    for (let i = 0; i < steps[name]; i++) {
      const fed = Object.fromEntries(step.state.map(({ input }, k) => [input, state[k]!]));
      const outputs = await session.run({ ...batch, ...fed });
      state = step.state.map(({ output }) => outputs[output]!);
    }
    return (steps[name] * examples) / ((performance.now() - started) / 1000);
  };
}
