import { execFile } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(__dirname, '..');
/** MB of CSV; 2147 is the case of docs/training.md. */
const megabytes = Number(process.env['MILL_TEST_CSV_MB'] ?? 512);
const columns = 20;
/** What Node and the buffers take, whatever the dataset; the small case fails where the content is held at once. */
const mostMemoryMiB = megabytes <= 512 ? 256 : 1024;
const memoryBytes = megabytes <= 512 ? 2 ** 20 : 64 * 2 ** 20;

/** As a training reads it: the table, its split, its normalization, an epoch. */
const reading = `
import { readFileSync } from 'node:fs';
import { batches, fitNormalization, readTable, splitRows } from './packages/data/dist/index.js';
const format = { kind: 'csv', header: true, target: 'y' };
const table = await readTable(process.argv[1], format, { memoryBytes: ${memoryBytes} });
const { train } = splitRows(table.rows, { train: 0.8, validation: 0, test: 0.2, seed: 1n });
const { offset } = fitNormalization(table, train, 'standard');
let sum = 0;
for (const { features, targets, size } of batches(table, train, { batchSize: 64, seed: 1n, epoch: 0, shuffle: true, dropLast: false })) {
  for (let row = 0; row < size; row++) sum += Math.abs(features[${columns} * row] - targets[row]);
}
// of this process alone: maxRSS begins with what its parent held when it started it
const memoryMiB = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
console.log(JSON.stringify({ rows: table.rows, trained: train.length, sum, offset: offset[1], memoryMiB }));
`;

it(`a CSV of ${megabytes} MB is read and dealt in ${mostMemoryMiB} MiB`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mill-large-'));
  try {
    const path = join(folder, 'large.csv');
    const rows = writeCsv(path, megabytes * 1e6);
    const node = promisify(execFile)(process.execPath, ['--input-type=module', '-e', reading, path], { cwd: root });
    const figures = JSON.parse((await node).stdout) as Record<
      'rows' | 'trained' | 'sum' | 'offset' | 'memoryMiB',
      number
    >;
    expect(statSync(path).size).toBeGreaterThan(megabytes * 1e6);
    expect(figures).toMatchObject({ rows, trained: Math.round(0.8 * rows), sum: 0 });
    expect(figures.offset).toBeCloseTo(4999.5, -2);
    expect(figures.memoryMiB).toBeLessThan(mostMemoryMiB);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 600_000);

/** Rows whose target is their first column; gives how many there are. */
function writeCsv(path: string, bytes: number): number {
  const names = Array.from({ length: columns }, (_, i) => `x${i}`);
  const lines = Array.from({ length: 10_000 }, (_, row) => {
    const cells = names.map((_, i) => ((row * (i + 1)) % 10_000) + row / 16384);
    return [...cells, cells[0]].join(',');
  });
  const block = Buffer.from(lines.join('\n') + '\n');
  const file = openSync(path, 'w');
  writeSync(file, `${names.join(',')},y\n`);
  let rows = 0;
  for (let written = 0; written < bytes; written += block.length, rows += lines.length) writeSync(file, block);
  closeSync(file);
  return rows;
}
