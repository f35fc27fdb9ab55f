import { asMarkdown, reportArtifact } from './report.js';
import type { Report } from './report.js';

const figures = {
  accuracy: 0.9861,
  auc: 0.999,
  loss: 0.0512,
  size_bytes: 244_000,
  parameters: 60_234,
  multiply_adds: 60_000,
  sparsity: 0,
  p50_ms: 0.12,
  p99_ms: 0.4,
  throughput: 20_000,
};
const report: Report = {
  model: 'digits',
  job: 'job-1',
  passes: ['pruned 80 %', 'quantized static int8'],
  notes: ['The zeros stayed zero.'],
  task: 'classes',
  dataset: { name: 'digits', version: '1', split: 'test', evaluated_rows: 360 },
  parent: { version: '3', sha256: 'a'.repeat(64), ...figures },
  candidate: {
    sha256: 'b'.repeat(64),
    ...figures,
    accuracy: 0.9833,
    auc: 0.998,
    size_bytes: 61_000,
    sparsity: 0.8,
    p50_ms: 0.15,
  },
  speed: { ratio: 0.8, low: 0.75, high: 0.85, verdict: 'slower' },
  batch_speed: { ratio: 1.01, low: 0.97, high: 1.05, verdict: 'noise' },
  operators: { integer_products: 2, float_products: 0, quantize_dequantize: 1 },
  engine: {
    provider: 'cpu',
    threads: 1,
    batch: 32,
    version: 'onnxruntime 1.30.0',
    cpu: 'A CPU',
    int8: 'x64 with VNNI',
  },
  lineage: { parent_sha256: 'a'.repeat(64), dataset_sha256: 'd'.repeat(64), recipe_sha256: 'e'.repeat(64) },
};

describe('a report', () => {
  it('shows parent and result side by side, and says what it cost', () =>
    expect(asMarkdown(report)).toBe(`# digits: pruned 80 %, then quantized static int8

| | version 3 | this version |
| --- | --- | --- |
| accuracy | 0.9861 | 0.9833 |
| area under the curve | 0.9990 | 0.9980 |
| loss | 0.0512 | 0.0512 |
| size | 238.3 KiB | 59.6 KiB |
| parameters | 60,234 | 60,234 |
| multiply-adds | 60,000 | 60,000 |
| zeros among the weights | 0.0 % | 80.0 % |
| p50 latency | 0.120 ms | 0.150 ms |
| p99 latency | 0.400 ms | 0.400 ms |
| throughput in batches | 20,000 examples/s | 20,000 examples/s |

Accuracy changed by −0.28 points on 360 held-out rows of digits 1. The file is 4.00 times smaller.

Answers to one example are 1.25 times slower (1.18 to 1.33), to batches of 32 as fast within noise (0.97 to 1.05 times as fast): the median of pairs, measured in alternation in one runner, and between which ratios the middle half of the pairs lies. It was onnxruntime 1.30.0 (cpu, 1 thread) on A CPU, x64 with VNNI.

- The zeros stayed zero.

Made of parent ${'a'.repeat(64)}, dataset ${'d'.repeat(64)} and recipe ${'e'.repeat(64)}.
`));

  it('says so where nothing has changed', () => {
    const text = asMarkdown({ ...report, notes: [], candidate: { ...report.candidate, ...figures } });
    expect(text).toContain('Accuracy stayed the same on 360 held-out rows');
    expect(text).toContain('The file is neither smaller nor larger.');
  });

  it.each([
    ['numbers', { r2: 0.81, mae: 0.2 }, { r2: 0.8, mae: 0.21 }, 'R² changed by −0.0100 on 360 held-out rows'],
    ['text', { perplexity: 4 }, { perplexity: 4.1 }, 'Perplexity changed by +2.50 % on 360 held-out windows'],
  ] as const)('tells what became of the figure that counts in %s', (task, before, after, words) => {
    const { accuracy: _, auc: __, ...rest } = figures;
    const markdown = asMarkdown({
      ...report,
      task,
      parent: { version: '3', sha256: '', ...rest, ...before },
      candidate: { sha256: '', ...rest, ...after },
    });
    expect(markdown).toContain(words);
    expect(markdown).not.toContain('| accuracy |');
  });

  it('holds what was to be expected beside what was measured', () =>
    expect(asMarkdown({ ...report, predicted: { speedup: 2, by: 'multiply-adds' } })).toContain(
      '1.25 times slower (1.18 to 1.33), where multiply-adds let expect 2.00 times, to batches of 32 as fast within noise',
    ));

  it('is kept as JSON for programs and Markdown for people', () =>
    expect(JSON.parse(Buffer.from(reportArtifact(report)).toString())).toEqual({
      report: JSON.parse(JSON.stringify(report)) as unknown,
      markdown: asMarkdown(report),
    }));
});
