import { deviceEnvironment, probeProvider } from '@modelmill/runtime';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import type { Asked } from './gpu/asked.js';
import { meshAnswers } from './gpu/mesh-answers.js';
import { runnerAnswers } from './gpu/runner-answers.js';
import { trainingSteps } from './gpu/training-steps.js';
import { openTorchAnswers, torchGpu, torchVersion } from './racer.js';
import type { TorchAnswers } from './racer.js';

const providers = ['cuda', 'webgpu'] as const;

/** Answers and training steps on a GPU against PyTorch's on the same one; inputs and outputs in main memory. */
export async function gpuContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const contests: Contest[] = [];
  const gpu = torchGpu();
  if (gpu === undefined)
    process.stderr.write('skipped: needs torch that sees a GPU (MILL_BENCH_PYTHON names a Python)\n');
  const peers = new Map<string, TorchAnswers>();
  const asked: Asked = {
    opened,
    against: `PyTorch ${torchVersion()} eager on ${gpu}`,
    torch(shape, batch) {
      const key = `${shape} ${batch}`;
      const peer = peers.get(key) ?? opened.use(openTorchAnswers(shape, batch));
      peers.set(key, peer);
      return peer;
    },
  };
  for (const provider of gpu === undefined ? [] : providers) {
    const why = await probeProvider(provider, deviceEnvironment(process.env));
    if (why === undefined) {
      for (const cases of [runnerAnswers, meshAnswers, trainingSteps]) contests.push(...cases(provider, asked));
    } else process.stderr.write(`the cases of ${provider} are skipped: ${why}\n`);
  }
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}
