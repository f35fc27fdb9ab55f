import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { elementCount, writeOnnx } from '@modelmill/onnx';
import { deviceEnvironment, probeProvider, startRunner } from '@modelmill/runtime';
import type { Provider, Runner } from '@modelmill/runtime';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { ourRacer, torchAnswers, torchGpu, torchRacer, torchVersion } from './racer.js';
import { races } from './races.js';
import { noise, shapes } from './shapes.js';

const providers = ['cuda', 'webgpu'] as const;
/** Answers of a round: about a second's on a large GPU. */
const asked = [
  { shape: 'resnet50', batch: 1, answers: 100 },
  { shape: 'resnet50', batch: 32, answers: 10 },
  { shape: 'bert', batch: 1, answers: 100 },
  { shape: 'bert', batch: 32, answers: 10 },
  { shape: 'mlp', batch: 1, answers: 500 },
  { shape: 'mlp', batch: 32, answers: 500 },
] as const;
/** Steps of a round. */
const trained = { mlp: 200, cnn: 100, gpt: 50, resnet: 30 } as const;

/** Answers of runners and training steps on a GPU against PyTorch's on the same one; inputs and outputs in main memory. */
export async function gpuContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const contests: Contest[] = [];
  const gpu = torchGpu();
  if (gpu === undefined)
    process.stderr.write('skipped: needs torch that sees a GPU (MILL_BENCH_PYTHON names a Python)\n');
  const against = `PyTorch ${torchVersion()} eager on ${gpu}`;
  for (const provider of gpu === undefined ? [] : providers) {
    const why = await probeProvider(provider, deviceEnvironment(process.env));
    if (why !== undefined) {
      process.stderr.write(`the cases of ${provider} are skipped: ${why}\n`);
      continue;
    }
    for (const { shape, batch, answers } of asked) {
      const ours = opened.use(runnerAnswers(shape, batch, provider));
      const theirs = opened.use(torchAnswers(shape, batch));
      contests.push({
        case: `${provider}: ${shapes[shape].words.split(',')[0]}, ${batch} at a time`,
        unit: 'rows/s',
        better: 'higher',
        against,
        goal: null,
        ours: () => ours.answer(answers),
        theirs: () => theirs.train(answers),
      });
    }
    for (const [name, steps] of Object.entries(trained) as [keyof typeof trained, number][]) {
      const ours = opened.use(ourRacer(name, provider));
      const theirs = opened.use(torchRacer(name, 'cuda'));
      contests.push({
        case: `${provider}, step: ${races[name].words}`,
        unit: 'examples/s',
        better: 'higher',
        against,
        goal: null,
        ours: () => ours.train(steps),
        theirs: () => theirs.train(steps),
      });
    }
  }
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

/** A runner as inference has it, asked one request after another. It starts when it is first asked. */
function runnerAnswers(shape: (typeof asked)[number]['shape'], batch: number, provider: Provider) {
  const { build, input } = shapes[shape];
  const dims = [batch, ...input.slice(1)];
  const numbers = new Uint8Array(noise(elementCount(dims), 1, 1).buffer);
  const inputs = new Map([['x', { datatype: 'FP32', shape: dims, data: numbers }]]);
  let started: Promise<Runner> | undefined;
  const start = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mill-gpu-'));
    const environment = deviceEnvironment(process.env);
    const runner = await startRunner({ providers: [provider], environment, memoryLimitBytes: 2 ** 36 });
    try {
      await writeFile(join(folder, 'model.onnx'), writeOnnx(build()));
      await runner.load(shape, join(folder, 'model.onnx'));
      return runner;
    } catch (error) {
      await runner[Symbol.asyncDispose]();
      throw error;
    } finally {
      await rm(folder, { recursive: true });
    }
  };
  return {
    /** Rows per second of so many answers. */
    async answer(answers: number): Promise<number> {
      const runner = await (started ??= start());
      const began = performance.now();
      for (let i = 0; i < answers; i++) await runner.run(shape, inputs);
      return (answers * batch) / ((performance.now() - began) / 1000);
    },
    async [Symbol.asyncDispose]() {
      // where it could not be started, whoever asked it was told
      await (await started?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}
