import { parseArgs } from 'node:util';
import { alternate } from './alternate.js';
import type { Contest, Result } from './alternate.js';
import { gpuContests } from './gpu.js';
import { optimizeContests } from './optimize.js';
import { serveContests } from './serve.js';
import { trainContests } from './train.js';

const suites: Record<string, () => Promise<{ contests: Contest[] } & AsyncDisposable>> = {
  train: trainContests,
  serve: serveContests,
  optimize: optimizeContests,
  gpu: gpuContests,
};

const usage = `usage: mill bench <${Object.keys(suites).join('|')}> [--json] [--only WORDS]...`;
const { values, positionals } = readArgs();
const suite = suites[positionals[0] ?? ''];
if (!suite || positionals.length > 1) refuse();

const results = await measure(suite);
if (values.json) console.log(JSON.stringify({ results }, null, 2));
else console.log(asTable(results));

function readArgs() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false }, only: { type: 'string', multiple: true, default: [''] } },
    });
  } catch {
    return refuse();
  }
}

function refuse(): never {
  console.error(usage);
  process.exit(2);
}

async function measure(open: () => Promise<{ contests: Contest[] } & AsyncDisposable>): Promise<Result[]> {
  await using opened = await open();
  const measured: Result[] = [];
  for (const contest of opened.contests.filter((one) => values.only.some((words) => one.case.includes(words)))) {
    process.stderr.write(`measuring ${contest.case} …\n`);
    const result = await alternate(contest, 5);
    process.stderr.write(`  ${result.value} ${result.unit}, ratio ${result.ratio}\n`);
    measured.push(result);
  }
  return measured;
}

function asTable(results: readonly Result[]): string {
  const rows = [
    ['case', 'value', 'unit', 'against', 'ratio', 'goal', 'met'],
    ...results.map((r) => [
      r.case,
      String(r.value),
      r.unit,
      r.against,
      r.ratio.toFixed(2),
      r.goal?.toString() ?? '–',
      verdict(r.met),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')).join('\n');
}

function verdict(met: boolean | null): string {
  if (met === null) return '–';
  return met ? 'yes' : 'no';
}
