/** Figures of one version, measured beside another in one runner. */
export interface Measured {
  readonly version: string;
  readonly accuracy: number;
  readonly loss: number;
  readonly size_bytes: number;
  readonly parameters: number;
  /** Zeros among the weights of convolutions and matrix products. */
  readonly sparsity: number;
  /** Milliseconds of one example. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Examples per second in batches of 32. */
  readonly throughput: number;
}

export interface Report {
  readonly model: string;
  readonly job: string;
  /** What was done, in words, pass by pass. */
  readonly passes: readonly string[];
  readonly notes: readonly string[];
  readonly dataset: { readonly name: string; readonly version: string; readonly evaluated_rows: number };
  readonly parent: Measured;
  readonly candidate: Measured;
  readonly parent_sha256: string;
  readonly engine: { readonly provider: string; readonly cpu: string; readonly threads: number };
}

const rows: readonly [label: string, show: (m: Measured) => string][] = [
  ['version', ({ version }) => version],
  ['accuracy', ({ accuracy }) => accuracy.toFixed(4)],
  ['loss', ({ loss }) => loss.toFixed(4)],
  ['size', ({ size_bytes }) => `${(size_bytes / 1024).toFixed(1)} KiB`],
  ['parameters', ({ parameters }) => parameters.toLocaleString('en-US')],
  ['zeros among the weights', ({ sparsity }) => `${(100 * sparsity).toFixed(1)} %`],
  ['p50 latency', ({ p50_ms }) => `${p50_ms.toFixed(3)} ms`],
  ['p99 latency', ({ p99_ms }) => `${p99_ms.toFixed(3)} ms`],
  ['throughput, batches of 32', ({ throughput }) => `${Math.round(throughput).toLocaleString('en-US')} examples/s`],
];

/** The report for people. */
export function asMarkdown({ model, passes, notes, dataset, parent, candidate, engine }: Report): string {
  const ratio = (a: number, b: number) => (b > 0 ? `${(a / b).toFixed(2)} times` : 'not comparable');
  return [
    `# ${model} ${candidate.version}: ${passes.join(', then ')}`,
    '',
    `| | parent | this version |`,
    `| --- | --- | --- |`,
    ...rows.map(([label, show]) => `| ${label} | ${show(parent)} | ${show(candidate)} |`),
    '',
    `Accuracy changed by ${(100 * (candidate.accuracy - parent.accuracy)).toFixed(2)} points on ` +
      `${dataset.evaluated_rows} held-out rows of ${dataset.name} ${dataset.version}. The file is ` +
      `${ratio(parent.size_bytes, candidate.size_bytes)} smaller, the median answer ` +
      `${ratio(parent.p50_ms, candidate.p50_ms)} faster: both measured in alternation in one runner ` +
      `(${engine.provider}, ${engine.threads} ${engine.threads === 1 ? 'thread' : 'threads'}, ${engine.cpu}).`,
    ...(notes.length > 0 ? ['', ...notes.map((note) => `- ${note}`)] : []),
    '',
  ].join('\n');
}
