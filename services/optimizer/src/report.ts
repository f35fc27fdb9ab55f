import type { Metrics } from './evaluate.js';
import { gateMetric } from './gate.js';
import type { Lineage, Workplace } from './lineage.js';
import { speedInWords } from './speed.js';
import type { Speed } from './speed.js';
import { unitOf } from './task.js';
import type { Task } from './task.js';

/** Figures of one version, measured beside another in one runner. */
export interface Figures extends Metrics {
  readonly size_bytes: number;
  readonly parameters: number;
  /** Of one example, where the sizes of all values are known. */
  readonly multiply_adds?: number;
  /** Zeros among the weights of convolutions and matrix products, from 0 to 1. */
  readonly sparsity: number;
  /** Milliseconds of one example. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Examples per second in batches of 32, or of fewer where 32 windows of text are too much. */
  readonly throughput: number;
}

/** What measured. */
export interface Engine extends Workplace {
  readonly provider: string;
  readonly threads: number;
  /** Examples of a batch that the throughput was measured with. */
  readonly batch: number;
}

/** A candidate of a search. */
export interface Tried {
  readonly name: string;
  /** Figures of those that could be made; of the metrics, the one that is bounded. */
  readonly accuracy?: number | undefined;
  readonly r2?: number | undefined;
  readonly perplexity?: number | undefined;
  readonly p50_ms?: number;
  readonly size_bytes?: number;
  /** What became of it, and why. */
  readonly outcome: string;
}

/** What an optimization did and what it cost, as GetReport gives it to programs. */
export interface Report {
  readonly model: string;
  readonly job: string;
  /** What was done, in words, pass by pass. */
  readonly passes: readonly string[];
  readonly notes: readonly string[];
  /** Everything a search tried. */
  readonly search?: readonly Tried[];
  /** What the dataset's target is. */
  readonly task: Task['kind'];
  readonly dataset: {
    readonly name: string;
    readonly version: string;
    /** Which part was held out: its rows, or windows of text, were evaluated. */
    readonly split: 'test' | 'validation';
    readonly evaluated_rows: number;
  };
  readonly parent: Figures & { readonly version: string; readonly sha256: string };
  readonly candidate: Figures & { readonly sha256: string };
  /** Of the candidate against its parent: answers to one example, which the verdict goes by, and to batches. */
  readonly speed: Speed;
  readonly batch_speed: Speed;
  /** What was to be expected of the speed, where anything tells. */
  readonly predicted?: { readonly speedup: number; readonly by: string };
  /** Of the candidate, as ONNX Runtime runs it. */
  readonly operators: {
    readonly integer_products: number;
    readonly float_products: number;
    readonly quantize_dequantize: number;
  };
  readonly engine: Engine;
  readonly lineage: Lineage;
}

/** Metrics as they are told; a task has some of them. */
const metricRows: readonly [label: string, metric: keyof Metrics][] = [
  ['accuracy', 'accuracy'],
  ['among the first five', 'top_5'],
  ['precision', 'precision'],
  ['recall', 'recall'],
  ['F1', 'f1'],
  ['area under the curve', 'auc'],
  ['perplexity', 'perplexity'],
  ['mean absolute error', 'mae'],
  ['root of the mean squared error', 'rmse'],
  ['R²', 'r2'],
  ['loss', 'loss'],
];

const rows: readonly [label: string, show: (figures: Figures) => string][] = [
  ['size', ({ size_bytes }) => `${(size_bytes / 1024).toFixed(1)} KiB`],
  ['parameters', ({ parameters }) => parameters.toLocaleString('en-US')],
  ['multiply-adds', ({ multiply_adds }) => multiply_adds?.toLocaleString('en-US') ?? '-'],
  ['zeros among the weights', ({ sparsity }) => `${(100 * sparsity).toFixed(1)} %`],
  ['p50 latency', ({ p50_ms }) => `${p50_ms.toFixed(3)} ms`],
  ['p99 latency', ({ p99_ms }) => `${p99_ms.toFixed(3)} ms`],
  ['throughput in batches', ({ throughput }) => `${Math.round(throughput).toLocaleString('en-US')} examples/s`],
];

/** What is kept beside a version: the report for programs and for people. */
export const reportArtifact = (report: Report): Uint8Array =>
  Buffer.from(JSON.stringify({ report, markdown: asMarkdown(report) }));

/** The report for people. */
export function asMarkdown(report: Report): string {
  const { model, passes, notes, search, parent, candidate, engine, lineage } = report;
  const { speed, batch_speed, predicted } = report;
  return [
    `# ${model}: ${passes.join(', then ')}`,
    '',
    `| | version ${parent.version} | this version |`,
    `| --- | --- | --- |`,
    ...metricRows
      .filter(([, metric]) => parent[metric] !== undefined || candidate[metric] !== undefined)
      .map(([label, metric]) => `| ${label} | ${fixed(parent[metric])} | ${fixed(candidate[metric])} |`),
    ...rows.map(([label, show]) => `| ${label} | ${show(parent)} | ${show(candidate)} |`),
    '',
    `${change(report)}. The file is ` + `${compared(parent.size_bytes, candidate.size_bytes)}.`,
    '',
    `Answers to one example are ${speedInWords(speed)}${expected(predicted)}, ` +
      `to batches of ${engine.batch} ${speedInWords(batch_speed)}: the median of pairs, measured in alternation in one runner, and between which ratios ` +
      `the middle half of the pairs lies. It was ${engine.version} (${engine.provider}, ${engine.threads} ` +
      `${engine.threads === 1 ? 'thread' : 'threads'}) on ${engine.cpu}, ${engine.int8}.`,
    ...(notes.length > 0 ? ['', ...notes.map((note) => `- ${note}`)] : []),
    ...(search ? ['', ...searchTable(search, report.task)] : []),
    '',
    `Made of parent ${lineage.parent_sha256}, dataset ${lineage.dataset_sha256} and recipe ${lineage.recipe_sha256}.`,
    '',
  ].join('\n');
}

const fixed = (value: number | undefined) => value?.toFixed(4) ?? '-';

/** What became of the figure that the bound is put on. */
function change({ task, dataset, parent, candidate }: Report): string {
  const on = `on ${dataset.evaluated_rows} held-out ${unitOf({ kind: task })} of ${dataset.name} ${dataset.version}`;
  const metric = gateMetric(task);
  const [before = 0, after = 0] = [parent[metric], candidate[metric]];
  const { label, by } = changes[task];
  return `${label} ${before === after ? 'stayed the same' : `changed by ${by(before, after)}`} ${on}`;
}

const changes: {
  readonly [K in Task['kind']]: { readonly label: string; by(before: number, after: number): string };
} = {
  classes: { label: 'Accuracy', by: (before, after) => `${signed(100 * (after - before), 2)} points` },
  numbers: { label: 'R²', by: (before, after) => signed(after - before, 4) },
  text: { label: 'Perplexity', by: (before, after) => `${signed(100 * (after / before - 1), 2)} %` },
};

const searchTable = (search: readonly Tried[], task: Task['kind']) => [
  `| tried | ${gateMetric(task)} | p50 latency | size | outcome |`,
  '| --- | --- | --- | --- | --- |',
  ...search.map(({ name, p50_ms, size_bytes, outcome, [gateMetric(task)]: quality }) => {
    const figures = [
      quality?.toFixed(4),
      p50_ms && `${p50_ms.toFixed(3)} ms`,
      size_bytes && `${(size_bytes / 1024).toFixed(1)} KiB`,
    ];
    return `| ${[name, ...figures.map((figure) => figure || '-'), outcome].join(' | ')} |`;
  }),
];

const signed = (value: number, digits: number) => `${value > 0 ? '+' : '−'}${Math.abs(value).toFixed(digits)}`;

/** Such as `3.62 times smaller`. */
function compared(before: number, after: number): string {
  const factor = before / after;
  if (factor.toFixed(2) === '1.00') return 'neither smaller nor larger';
  return factor > 1 ? `${factor.toFixed(2)} times smaller` : `${(1 / factor).toFixed(2)} times larger`;
}

const expected = (predicted: Report['predicted']) =>
  predicted ? `, where ${predicted.by} let expect ${predicted.speedup.toFixed(2)} times` : '';
