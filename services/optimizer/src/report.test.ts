import { asMarkdown, reportArtifact } from './report.js';
import type { Report } from './report.js';

const figures = {
  accuracy: 0.9861,
  loss: 0.0512,
  size_bytes: 244_000,
  parameters: 60_234,
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
  candidate: { sha256: 'b'.repeat(64), ...figures, accuracy: 0.9833, size_bytes: 61_000, sparsity: 0.8, p50_ms: 0.15 },
  engine: { provider: 'cpu', threads: 1, cpu: 'A CPU' },
};

describe('a report', () => {
  it('shows parent and result side by side, and says what it cost', () =>
    expect(asMarkdown(report)).toBe(`# digits: pruned 80 %, then quantized static int8

| | version 3 | this version |
| --- | --- | --- |
| accuracy | 0.9861 | 0.9833 |
| loss | 0.0512 | 0.0512 |
| size | 238.3 KiB | 59.6 KiB |
| parameters | 60,234 | 60,234 |
| zeros among the weights | 0.0 % | 80.0 % |
| p50 latency | 0.120 ms | 0.150 ms |
| p99 latency | 0.400 ms | 0.400 ms |
| throughput, batches of 32 | 20,000 examples/s | 20,000 examples/s |

Accuracy changed by −0.28 points on 360 held-out rows of digits 1. The file is 4.00 times smaller, the median answer 1.25 times slower: both versions were measured in alternation in one runner (cpu, 1 thread, A CPU).

- The zeros stayed zero.
`));

  it('says so where nothing has changed', () => {
    const text = asMarkdown({ ...report, notes: [], candidate: { ...report.candidate, ...figures } });
    expect(text).toContain('Accuracy stayed the same on 360 held-out rows');
    expect(text).toContain('The file is neither smaller nor larger, the median answer neither faster nor slower:');
  });

  it('is kept as JSON for programs and Markdown for people', () =>
    expect(JSON.parse(Buffer.from(reportArtifact(report)).toString())).toEqual({
      report: JSON.parse(JSON.stringify(report)) as unknown,
      markdown: asMarkdown(report),
    }));
});
