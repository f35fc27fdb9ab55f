import { registry } from '@modelmill/contracts';
import type { Breach } from './breach.js';
import { createTrial } from './trial.js';

const cost = [1, 4, 16].map((rows) => ({ rows, ms: 1 + rows }));

function trialOf(bounds: Partial<registry.RollBackRule>) {
  const breaches: Breach[] = [];
  let moved = () => {};
  const rule = registry.RollBackRule.fromPartial({ version: '2', afterRequests: 20, ...bounds });
  const trial = createTrial(
    rule,
    '1',
    () => cost,
    (breach) => {
      breaches.push(breach);
      return new Promise((resolve) => (moved = resolve));
    },
  );
  const run = (version: string, times: number, rows: number, ms: number) => {
    for (let i = 0; i < times; i++) {
      trial.watch(version).executed(rows, ms * (1 + (i % 7) / 100));
      trial.watch(version).ran(false);
    }
  };
  const fail = (version: string, times: number) => {
    for (let i = 0; i < times; i++) trial.watch(version).ran(true);
  };
  return { trial, breaches, run, fail, moved: () => moved() };
}

it('takes executions of many rows for what they cost, and not for slow', () => {
  const { breaches, run } = trialOf({ maxP50Ratio: 1.5 });
  run('1', 40, 1, 2);
  run('2', 20, 16, 17);
  run('1', 40, 16, 17);
  run('2', 20, 1, 2);
  expect(breaches).toEqual([]);
  run('1', 40, 16, 17); // 17 ms of 16 rows, against 5 ms of one, which should take 2
  run('2', 20, 1, 5);
  expect(breaches.map(({ reason }) => reason)).toEqual([
    expect.stringMatching(
      /^the p50 of 20 executions of version 2 is 2\.\d+ times that of 40 of version 1 at equal rows: .*, 1\.5 allowed$/,
    ),
  ]);
});

it('holds what fails everywhere against nobody', () => {
  const { breaches, fail, run } = trialOf({ maxErrorShare: 0.05 });
  for (let i = 0; i < 60; i++) {
    fail('1', 3);
    fail('2', 1);
  }
  expect(breaches).toEqual([]);
  run('1', 200, 1, 1);
  fail('2', 20);
  expect(breaches).toEqual([
    {
      reason: expect.stringContaining(
        'version 2 could not run 20 of 20 requests, version 1 0 of 200: at least 0.',
      ) as string,
      data: { failed: 20, requests: 20, otherFailed: 0, otherRequests: 200 },
    },
  ]);
});

it('decides nothing on few requests, nor without the other target', () => {
  const { breaches, fail, run } = trialOf({ maxErrorShare: 0.05 });
  run('1', 100, 1, 1);
  fail('2', 19);
  expect(breaches).toEqual([]);
  const alone = trialOf({ maxErrorShare: 0.05, maxP50Ratio: 1 });
  alone.fail('2', 1000);
  expect(alone.breaches).toEqual([]);
});

it('waits for the label to be moved, and begins anew where it could not be', async () => {
  const { trial, breaches, fail, run, moved } = trialOf({ maxErrorShare: 0.05 });
  run('1', 20, 1, 1);
  fail('2', 200);
  expect(breaches).toHaveLength(1);
  moved();
  await new Promise((resolve) => setImmediate(resolve));
  run('1', 20, 1, 1);
  fail('2', 20);
  expect(breaches).toHaveLength(2);
  expect(trial.counts()).toEqual([
    { version: '2', requests: 220, failed: 220 },
    { version: '1', requests: 40, failed: 0 },
  ]);
});
