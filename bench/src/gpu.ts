import { deviceEnvironment, probeProvider } from '@modelmill/runtime';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { meshAnswers } from './gpu/mesh-answers.js';
import { runnerAnswers } from './gpu/runner-answers.js';
import { trainingSteps } from './gpu/training-steps.js';
import { openTorchAnswers, torchOnGpu } from './racer.js';

const providers = ['cuda', 'webgpu'] as const;

/** Answers and training steps on a GPU against PyTorch's on the same one; inputs and outputs in main memory. */
export async function gpuContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const contests: Contest[] = [];
  const against = torchOnGpu();
  const torch = opened.use(openTorchAnswers());
  if (against === undefined)
    process.stderr.write('skipped: needs torch that sees a GPU (MILL_BENCH_PYTHON names a Python)\n');
  for (const provider of providers) {
    if (against === undefined) break;
    const why = await probeProvider(provider, deviceEnvironment(process.env));
    if (why === undefined) {
      for (const cases of [runnerAnswers, meshAnswers, trainingSteps])
        contests.push(...cases(provider, { opened, torch, against }));
    } else process.stderr.write(`the cases of ${provider} are skipped: ${why}\n`);
  }
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}
