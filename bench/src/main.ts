import { alternate } from './alternate.js';
import type { Contest, Result } from './alternate.js';
import { optimizeContests } from './optimize.js';
import { serveContests } from './serve.js';
import { trainContests } from './train.js';

const suites: Record<string, () => Promise<{ contests: Contest[] } & AsyncDisposable>> = {
  train: trainContests,
  serve: serveContests,
  optimize: optimizeContests,
};

const args = process.argv.slice(2);
const json = args.includes('--json');
const [name = '', ...rest] = args.filter((arg) => !arg.startsWith('--'));
const suite = suites[name];
if (!suite || rest.length > 0 || args.some((arg) => arg.startsWith('--') && arg !== '--json')) {
  console.error(`usage: mill bench <${Object.keys(suites).join('|')}> [--json]`);
  process.exit(2);
}

const results = await measure(suite);
if (json) console.log(JSON.stringify({ results }, null, 2));
else console.log(asTable(results));

async function measure(open: () => Promise<{ contests: Contest[] } & AsyncDisposable>): Promise<Result[]> {
  await using opened = await open();
  const measured: Result[] = [];
  for (const contest of opened.contests) {
    process.stderr.write(`measuring ${contest.case} …\n`);
    measured.push(await alternate(contest, 5));
  }
  return measured;
}

function asTable(results: readonly Result[]): string {
  const rows = [
    ['case', 'value', 'unit', 'against', 'ratio', 'goal'],
    ...results.map((r) => [r.case, String(r.value), r.unit, r.against, r.ratio.toFixed(2), r.goal?.toString() ?? '–']),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')).join('\n');
}
