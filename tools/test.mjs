// Runs every check through one test runner and closes with the line `N passed, N failed`, counted from its report.
// Arguments are handed to the runner: `./mill test packages/onnx`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';

const report = 'node_modules/.cache/test-report.json';
mkdirSync('node_modules/.cache', { recursive: true });
rmSync(report, { force: true });

const run = spawnSync(
  process.execPath,
  ['node_modules/jest/bin/jest.js', '--json', `--outputFile=${report}`, ...process.argv.slice(2)],
  // the report goes to the file; what it would print to stdout is the same JSON again
  { stdio: ['ignore', 'ignore', 'inherit'] },
);

const counted = read();
const skipped = counted.skipped > 0 ? `, ${counted.skipped} skipped` : '';
console.log(`${counted.passed} passed, ${counted.failed} failed${skipped}`);
process.exitCode = run.status === 0 && counted.failed === 0 && counted.passed > 0 ? 0 : 1;

function read() {
  let text;
  try {
    text = readFileSync(report, 'utf8');
  } catch {
    // the runner died before it could write: that is one failure, and none passed
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(text);
  // a file that does not even load has no tests of its own to count
  const unloadable = testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  return { passed: numPassedTests, failed: numFailedTests + unloadable, skipped: numPendingTests };
}
