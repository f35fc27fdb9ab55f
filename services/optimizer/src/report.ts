/** Figures of one version, measured beside another in one runner. */
export interface Figures {
  readonly accuracy: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
  readonly size_bytes: number;
  readonly parameters: number;
  /** Zeros among the weights of convolutions and matrix products, from 0 to 1. */
  readonly sparsity: number;
  /** Milliseconds of one example. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Examples per second in batches of 32. */
  readonly throughput: number;
}

/** What measured. */
export interface Engine {
  readonly provider: string;
  readonly threads: number;
  readonly cpu: string;
}

/** A candidate of a search. */
export interface Tried {
  readonly name: string;
  /** Figures of those that could be made. */
  readonly accuracy?: number;
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
  readonly dataset: { readonly name: string; readonly version: string; readonly evaluated_rows: number };
  readonly parent: Figures & { readonly version: string; readonly sha256: string };
  readonly candidate: Figures & { readonly sha256: string };
  readonly engine: Engine;
}

const rows: readonly [label: string, show: (figures: Figures) => string][] = [
  ['accuracy', ({ accuracy }) => accuracy.toFixed(4)],
  ['loss', ({ loss }) => loss.toFixed(4)],
  ['size', ({ size_bytes }) => `${(size_bytes / 1024).toFixed(1)} KiB`],
  ['parameters', ({ parameters }) => parameters.toLocaleString('en-US')],
  ['zeros among the weights', ({ sparsity }) => `${(100 * sparsity).toFixed(1)} %`],
  ['p50 latency', ({ p50_ms }) => `${p50_ms.toFixed(3)} ms`],
  ['p99 latency', ({ p99_ms }) => `${p99_ms.toFixed(3)} ms`],
  ['throughput, batches of 32', ({ throughput }) => `${Math.round(throughput).toLocaleString('en-US')} examples/s`],
];

/** What is kept beside a version: the report for programs and for people. */
export const reportArtifact = (report: Report): Uint8Array =>
  Buffer.from(JSON.stringify({ report, markdown: asMarkdown(report) }));

/** The report for people. */
export function asMarkdown({ model, passes, notes, search, dataset, parent, candidate, engine }: Report): string {
  const points = 100 * (candidate.accuracy - parent.accuracy);
  return [
    `# ${model}: ${passes.join(', then ')}`,
    '',
    `| | version ${parent.version} | this version |`,
    `| --- | --- | --- |`,
    ...rows.map(([label, show]) => `| ${label} | ${show(parent)} | ${show(candidate)} |`),
    '',
    `Accuracy ${points === 0 ? 'stayed the same' : `changed by ${signed(points)} points`} on ` +
      `${dataset.evaluated_rows} held-out rows of ${dataset.name} ${dataset.version}. The file is ` +
      `${compared(parent.size_bytes, candidate.size_bytes, 'smaller', 'larger')}, the median answer ` +
      `${compared(parent.p50_ms, candidate.p50_ms, 'faster', 'slower')}: both versions were measured in alternation ` +
      `in one runner (${engine.provider}, ${engine.threads} ${engine.threads === 1 ? 'thread' : 'threads'}, ` +
      `${engine.cpu}).`,
    ...(notes.length > 0 ? ['', ...notes.map((note) => `- ${note}`)] : []),
    ...(search ? ['', ...searchTable(search)] : []),
    '',
  ].join('\n');
}

const searchTable = (search: readonly Tried[]) => [
  '| tried | accuracy | p50 latency | size | outcome |',
  '| --- | --- | --- | --- | --- |',
  ...search.map(({ name, accuracy, p50_ms, size_bytes, outcome }) => {
    const figures = [
      accuracy?.toFixed(4),
      p50_ms && `${p50_ms.toFixed(3)} ms`,
      size_bytes && `${(size_bytes / 1024).toFixed(1)} KiB`,
    ];
    return `| ${[name, ...figures.map((figure) => figure || '-'), outcome].join(' | ')} |`;
  }),
];

const signed = (points: number) => `${points > 0 ? '+' : '−'}${Math.abs(points).toFixed(2)}`;

/** Such as `3.62 times smaller`. */
function compared(before: number, after: number, less: string, more: string): string {
  const factor = before / after;
  if (factor.toFixed(2) === '1.00') return `neither ${less} nor ${more}`;
  return factor > 1 ? `${factor.toFixed(2)} times ${less}` : `${(1 / factor).toFixed(2)} times ${more}`;
}
