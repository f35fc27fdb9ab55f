import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Table } from '@modelmill/data';
import { readOnnx } from '@modelmill/onnx';
import { startRunner } from '@modelmill/runtime';
import type { MeasuredCase, Runner } from '@modelmill/runtime';
import type { Artifacts } from '@modelmill/store';
import type { Classifier } from './classifier.js';
import { evaluate, examplesOf } from './evaluate.js';
import { leftovers } from './quantize/leftovers.js';
import type { Leftovers } from './quantize/leftovers.js';
import type { Engine, Figures } from './report.js';
import { weightFigures } from './weighted-layers.js';

export interface Compared {
  readonly parent: Figures;
  readonly candidate: Figures;
  readonly engine: Engine;
  /** Of the candidate. */
  readonly left: Leftovers;
}

export interface ComparisonOptions {
  readonly artifacts: Pick<Artifacts, 'path' | 'read'>;
  /** Digests of the two ONNX files, and where each takes and gives its tensors. */
  readonly versions: Readonly<Record<Side, { readonly sha256: string; readonly classifier: Classifier }>>;
  readonly table: Table;
  /** Held-out rows. */
  readonly rows: Uint32Array;
  readonly signal: AbortSignal;
  /** Told before the latencies are measured. */
  onMeasuring(): Promise<void>;
}

type Side = 'parent' | 'candidate';
const sides = ['parent', 'candidate'] as const;

const threads = 1; // a figure that does not change with the cores of the machine
const throughputBatch = 32;
const requestTimeoutMs = 120_000;

/** Two versions in one runner of their own: the same rows through both, and their latencies in alternation. */
export async function compareVersions(options: ComparisonOptions): Promise<Compared> {
  const { artifacts, versions, table, rows, signal, onMeasuring } = options;
  await using runner = await startRunner({ providers: ['cpu'], threads, requestTimeoutMs });
  let provider = '';
  let left: Leftovers;
  const folder = await mkdtemp(join(tmpdir(), 'mill-comparison-'));
  try {
    const optimizedModelPath = join(folder, 'optimized.onnx');
    for (const side of sides) {
      const options = side === 'candidate' ? { optimizedModelPath } : {};
      ({ provider } = await runner.load(side, await artifacts.path(versions[side].sha256), options));
    }
    left = leftovers(readOnnx(await readFile(optimizedModelPath)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const accuracies = {
    parent: await evaluate(runner, 'parent', versions.parent.classifier, table, rows, signal),
    candidate: await evaluate(runner, 'candidate', versions.candidate.classifier, table, rows, signal),
  };
  await onMeasuring();
  const casesOf = (batch: number) =>
    sides.map((side): MeasuredCase => {
      const { classifier } = versions[side];
      const some = Uint32Array.from({ length: batch }, (_, i) => rows[i % rows.length]!);
      return { id: side, inputs: new Map([[classifier.input, examplesOf(table, some, classifier)]]) };
    });
  const single = await measure(runner, casesOf(1), 1500, signal);
  const batched = await measure(runner, casesOf(throughputBatch), 500, signal);

  const figuresOf = async (side: Side): Promise<Figures> => {
    const bytes = await artifacts.read(versions[side].sha256);
    const times = single[sides.indexOf(side)]!;
    return {
      ...accuracies[side],
      size_bytes: bytes.byteLength,
      ...weightFigures(readOnnx(bytes)),
      p50_ms: percentile(times, 0.5),
      p99_ms: percentile(times, 0.99),
      throughput: (1000 * throughputBatch) / percentile(batched[sides.indexOf(side)]!, 0.5),
    };
  };
  return {
    parent: await figuresOf('parent'),
    candidate: await figuresOf('candidate'),
    left,
    engine: { provider, threads, cpu: cpus()[0]?.model.trim() ?? 'an unknown CPU' },
  };
}

/** Times per case, in as many rounds as take about so long. */
async function measure(
  runner: Pick<Runner, 'measure'>,
  cases: readonly MeasuredCase[],
  budgetMs: number,
  signal: AbortSignal,
): Promise<number[][]> {
  const first = await runner.measure(cases, { rounds: 5, warmup: 5 });
  signal.throwIfAborted();
  const roundMs = first.reduce((total, times) => total + percentile(times, 0.5), 0);
  const rounds = Math.round(Math.min(5000, Math.max(20, budgetMs / roundMs)));
  const times = await runner.measure(cases, { rounds, warmup: Math.ceil(rounds / 10) });
  signal.throwIfAborted();
  return times;
}

/** The value below which a share of the times lies: nearest rank. */
export function percentile(times: readonly number[], share: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))]!;
}
