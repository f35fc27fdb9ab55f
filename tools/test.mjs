// Runs every check through one test runner and closes with the line `N passed, N failed`, counted from its report.
// Arguments are handed to the runner: `./mill test packages/onnx`.
//
// Two test files at a time share the cores, and some hold time limits. Where the whole suite runs, files that fail beside
// others run once more, alone, and count as they end then; each test that failed first is named, as it may be flawed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { relative } from 'node:path';

mkdirSync('node_modules/.cache', { recursive: true });
const asked = process.argv.slice(2);
/** More failing files than this are no accident. */
const mostAgain = 8;

const first = run('test-report', asked);
const failing = first?.files.filter(({ failed }) => failed.length > 0) ?? [];
const again =
  asked.length === 0 && failing.length > 0 && failing.length <= mostAgain
    ? run('test-report-alone', ['--runInBand', '--runTestsByPath', ...failing.map(({ path }) => path)])
    : undefined;
const files = first?.files.map((file) => again?.files.find(({ path }) => path === file.path) ?? file);

if (again) {
  for (const { path, failed } of failing) {
    for (const name of failed) {
      const still = again.files.some((file) => file.path === path && file.failed.includes(name));
      console.log(`${still ? 'failed twice' : 'failed beside others, passed alone'}: ${path}: ${name}`);
    }
  }
}

// the runner died before it could write: that is one failure, and none passed
const counts = files
  ? { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') }
  : { passed: 0, failed: 1, skipped: 0 };
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
const last = again ?? first;
process.exitCode = last?.status === 0 && counts.failed === 0 && counts.passed > 0 ? 0 : 1;

function sum(what) {
  return files.reduce((total, file) => total + (what === 'failed' ? file.failed.length : file[what]), 0);
}

function run(name, args) {
  const report = `node_modules/.cache/${name}.json`;
  rmSync(report, { force: true });
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/jest/bin/jest.js', '--json', `--outputFile=${report}`, ...args],
    // the report goes to the file; what it would print to stdout is the same JSON again
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  let text;
  try {
    text = readFileSync(report, 'utf8');
  } catch {
    return undefined;
  }
  return { status, files: JSON.parse(text).testResults.map(asFile) };
}

function asFile({ name, status, assertionResults: tests }) {
  const of = (...states) => tests.filter((test) => states.includes(test.status));
  const failed = of('failed').map(({ fullName }) => fullName);
  return {
    path: relative('.', name),
    passed: of('passed').length,
    skipped: of('pending', 'todo', 'skipped', 'disabled').length,
    // a file that does not even load has no tests of its own to count
    failed: status === 'failed' && failed.length === 0 ? ['the file itself'] : failed,
  };
}
