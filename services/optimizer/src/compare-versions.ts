import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readOnnx } from '@modelmill/onnx';
import { optimizedWeights } from '@modelmill/runtime';
import type { MeasuredCase, Runner } from '@modelmill/runtime';
import { openFileBytes, openModelFiles } from '@modelmill/store';
import type { Artifacts } from '@modelmill/store';
import { multiplyAddsOf } from './analyze.js';
import type { Binding } from './binding.js';
import { evaluate, inputsOf } from './evaluate.js';
import type { Examples } from './examples.js';
import { examplesInRun } from './examples-in-run.js';
import { leftovers } from './quantize/leftovers.js';
import type { Leftovers } from './quantize/leftovers.js';
import { startOwnRunner, weightBytesOf } from './own-runner.js';
import type { Engine, Figures } from './report.js';
import { workplace } from './lineage.js';
import { percentile, speedOf } from './speed.js';
import type { Speed } from './speed.js';
import { sum, weightFigures } from './weighted-layers.js';

export interface Compared {
  readonly parent: Figures;
  readonly candidate: Figures;
  readonly engine: Engine;
  /** Of one example, and of batches. */
  readonly speed: Speed;
  readonly batchSpeed: Speed;
  /** Of the candidate. */
  readonly left: Leftovers;
}

export interface ComparisonOptions {
  readonly artifacts: Pick<Artifacts, 'path'>;
  /** Digests of the two ONNX files, where each takes and gives its tensors, and what messages call it. */
  readonly versions: Readonly<
    Record<Side, { readonly sha256: string; readonly binding: Binding; readonly name: string }>
  >;
  readonly examples: Examples;
  readonly signal: AbortSignal;
  /** Told before the latencies are measured. */
  onMeasuring(): Promise<void>;
}

type Side = 'parent' | 'candidate';
const sides = ['parent', 'candidate'] as const;

const threads = 1; // a figure that does not change with the cores of the machine
const throughputBatch = 32;

/** Two versions in one runner of their own: the same examples through both, and their latencies in alternation. */
export async function compareVersions(options: ComparisonOptions): Promise<Compared> {
  const { artifacts, versions, examples, signal, onMeasuring } = options;
  using parentFiles = openModelFiles(await artifacts.path(versions.parent.sha256));
  using candidateFiles = openModelFiles(await artifacts.path(versions.candidate.sha256));
  const files = { parent: parentFiles, candidate: candidateFiles };
  const models = {
    parent: readOnnx(parentFiles.file, parentFiles.beside),
    candidate: readOnnx(candidateFiles.file, candidateFiles.beside),
  };
  await using runner = await startOwnRunner(sum(sides.map((side) => weightBytesOf(models[side]))), threads);
  let provider = '';
  let left: Leftovers;
  const folder = await mkdtemp(join(tmpdir(), 'mill-comparison-'));
  try {
    const optimizedModelPath = join(folder, 'optimized.onnx');
    for (const side of sides) {
      const options = side === 'candidate' ? { optimizedModelPath } : {};
      ({ provider } = await runner.load(side, await artifacts.path(versions[side].sha256), options));
    }
    using optimized = openFileBytes(optimizedModelPath);
    left = leftovers(readOnnx(optimized, new Map([[optimizedWeights, unread]])));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { heldOut } = examples;
  // of both alike, so that neither is favoured: what the parent can take
  const atOnce = examplesInRun(models.parent, examples.atOnce);
  const paced = { ...examples, atOnce };
  const measured = {
    parent: await evaluate(runner, { id: 'parent', ...versions.parent }, paced, signal),
    candidate: await evaluate(runner, { id: 'candidate', ...versions.candidate }, paced, signal),
  };
  await onMeasuring();
  const casesOf = (batch: number) =>
    sides.map((side): MeasuredCase => {
      const { binding } = versions[side];
      const some = Uint32Array.from({ length: batch }, (_, i) => heldOut[i % heldOut.length]!);
      return { id: side, inputs: new Map([[binding.input, inputsOf(examples, some, binding)]]) };
    });
  const single = await measure(runner, casesOf(1), 1500, signal);
  const batch = Math.min(throughputBatch, atOnce);
  const batched = await measure(runner, casesOf(batch), 500, signal);

  const figuresOf = (side: Side): Figures => {
    const model = models[side];
    const multiplyAdds = multiplyAddsOf(model);
    const times = single[sides.indexOf(side)]!;
    return {
      ...measured[side],
      size_bytes: files[side].size,
      ...weightFigures(model),
      ...(multiplyAdds === 0 ? {} : { multiply_adds: multiplyAdds }),
      p50_ms: percentile(times, 0.5),
      p99_ms: percentile(times, 0.99),
      throughput: (1000 * batch) / percentile(batched[sides.indexOf(side)]!, 0.5),
    };
  };
  return {
    parent: figuresOf('parent'),
    candidate: figuresOf('candidate'),
    speed: speedOf(single[0]!, single[1]!),
    batchSpeed: speedOf(batched[0]!, batched[1]!),
    left,
    engine: { provider, threads, batch, ...workplace() },
  };
}

/** Nobody looks at the weights of a graph whose nodes are counted. */
const unread = { size: Number.MAX_SAFE_INTEGER, read: () => new Uint8Array() };

/** A request of rounds lasts no longer than this, but for a single round. */
const mostRequestMs = 30_000;

/** Times per case, in as many rounds as take about so long; of slow ones in few. */
async function measure(
  runner: Pick<Runner, 'measure'>,
  cases: readonly MeasuredCase[],
  budgetMs: number,
  signal: AbortSignal,
): Promise<number[][]> {
  const timed = async (rounds: number, warmup: number) => {
    const times = await runner.measure(cases, { rounds, warmup });
    signal.throwIfAborted();
    return times;
  };
  const roundMsOf = (times: number[][]) => times.reduce((total, some) => total + percentile(some, 0.5), 0);
  const slowMs = roundMsOf(await timed(1, 1));
  if (slowMs > mostRequestMs / 40) {
    const rounds = Math.max(2, Math.min(20, Math.floor(mostRequestMs / slowMs)));
    return timed(rounds, 0);
  }
  const roundMs = roundMsOf(await timed(5, 4));
  const rounds = Math.round(Math.min(5000, Math.max(20, budgetMs / roundMs)));
  return timed(rounds, Math.ceil(rounds / 10));
}
