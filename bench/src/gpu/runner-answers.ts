import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { elementCount, writeOnnx } from '@modelmill/onnx';
import { deviceEnvironment, startRunner } from '@modelmill/runtime';
import type { Provider, Runner } from '@modelmill/runtime';
import type { Contest } from '../alternate.js';
import { timesOf } from '../serve/load.js';
import { noise, shapes } from '../shapes.js';
import { answersOf, inMs, perSecond } from './asked.js';
import type { Asked } from './asked.js';

/** A runner as inference has it, asked one request after another, against PyTorch asked so. */
export function runnerAnswers(provider: Provider, { opened, torch, against }: Asked): Contest[] {
  return answersOf.flatMap(({ shape, one, batched }) => {
    const words = `${provider}: ${shapes[shape].words.split(',')[0]}`;
    const single = opened.use(openAnswers(shape, 1, provider));
    const many = opened.use(openAnswers(shape, 32, provider));
    return [
      {
        ...inMs,
        case: `${words}, 1 at a time, p50`,
        against,
        ours: async () => (await single.times(one)).p50,
        theirs: async () => (await torch.answer(shape, 1, one)).p50,
      },
      {
        ...inMs,
        case: `${words}, 1 at a time, p99`,
        against,
        ours: async () => (await single.times(one)).p99,
        theirs: async () => (await torch.answer(shape, 1, one)).p99,
      },
      {
        ...perSecond,
        case: `${words}, 32 at a time`,
        against,
        ours: async () => 32 * (await many.times(batched)).perSecond,
        theirs: async () => (await torch.answer(shape, 32, batched)).rowsPerSecond,
      },
    ];
  });
}

/** It starts when it is first asked. */
function openAnswers(shape: keyof typeof shapes, batch: number, provider: Provider) {
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
    async times(answers: number) {
      const runner = await (started ??= start());
      return timesOf(() => runner.run(shape, inputs), answers);
    },
    async [Symbol.asyncDispose]() {
      // where it could not be started, whoever asked it was told
      await (await started?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}
