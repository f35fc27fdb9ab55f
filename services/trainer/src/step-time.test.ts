import type { ScannedSession } from '@modelmill/runtime';
import { openGrowing, scalar } from './growing-for-tests.js';
import type { Steps } from './step-session.js';
import { stepMilliseconds } from './step-time.js';

const feedsAt = () => Promise.resolve({ factor: scalar(1), one: scalar(1) });

/** Milliseconds of a step by a clock on which a run takes so long to begin, and each of its steps so long. */
async function timeOf(beginMs: number, stepMs: number, isScanned: boolean) {
  await using session = await openGrowing();
  session.setState({ weight: scalar(1) });
  const runs: number[] = [];
  let clock = 0;
  const passes = (count: number) => {
    runs.push(count);
    clock += beginMs + count * stepMs;
  };
  const { runEach: _, ...single } = session;
  const steps: Steps = {
    ...single,
    run(feeds) {
      passes(1);
      return session.run(feeds);
    },
  };
  const runEach: ScannedSession['runEach'] = (count, feedsOf) => {
    passes(count);
    return session.runEach(count, feedsOf);
  };
  return { time: await stepMilliseconds(isScanned ? { ...steps, runEach } : steps, feedsAt, () => clock), runs };
}

describe('the time of a step', () => {
  it('is that of a run of its own, where steps are made one by one', async () =>
    expect(await timeOf(32, 1, false)).toEqual({ time: 33, runs: [1, 1, 1, 1] }));

  it('is its part of a run as large as a training makes it', async () =>
    expect(await timeOf(32, 1, true)).toEqual({ time: 2, runs: [1, 2, 4, 8, 16, 32, 32, 32, 32] }));

  it('is found in few steps where they take long', async () =>
    expect(await timeOf(32, 40, true)).toEqual({ time: 48, runs: [1, 2, 4, 4, 4, 4] }));
});
