import type { ScannedSession } from '@modelmill/runtime';
import { openGrowing, scalar } from './growing-for-tests.js';
import { isStop, stepsAhead } from './steps-ahead.js';
import type { StepSource } from './steps-ahead.js';

const stop = 40;
/** Of step t: doubled where t is even, halved and a bit more where it is odd. */
const factorAt = (step: number) => (step % 2 === 0 ? 2 : 0.625);
const weightAfter = (steps: number) =>
  Array.from({ length: steps }, (_, t) => factorAt(t)).reduce((weight, factor) => Math.fround(weight * factor), 1);

/** Steps over it by a clock on which each look takes so long, and how many each run made. */
async function begin(lookMs = 0) {
  const session = await openGrowing();
  session.setState({ weight: scalar(1) });
  const runs: number[] = [];
  const counting = {
    ...session,
    runEach: (count: number, feedsOf: Parameters<ScannedSession['runEach']>[1]) => {
      runs.push(count);
      return session.runEach(count, feedsOf);
    },
  };
  let clock = 0;
  const factor = scalar(0); // the same memory for every step
  const source: StepSource = {
    feedsAt(step) {
      factor.data[0] = factorAt(step);
      return Promise.resolve({ factor, one: scalar(1) });
    },
    formAt: () => 'model',
    isStop: (step) => step >= stop,
  };
  const ahead = stepsAhead(counting, source, () => (clock += lookMs));
  const loss = async (step: number) => ((await ahead.run(step))['loss']!.data as Float32Array)[0];
  const weight = async () => ((await session.state())['weight']!.data as Float32Array)[0];
  return { session, runs, ahead, loss, weight };
}

describe('steps that are computed ahead', () => {
  it('are those that would be computed one by one, more at once while runs are quick, and none beyond a stop', async () => {
    const { session, runs, ahead, loss, weight } = await begin();
    await using _ = session;
    for (let step = 0; step < stop + 2; step++) {
      expect(await loss(step)).toBe(Math.fround(weightAfter(step + 1) + 1));
      ahead.advance();
      if (ahead.isSettled()) expect(await weight()).toBe(weightAfter(step + 1));
    }
    expect(runs).toEqual([1, 2, 4, 8, 16, 9, 1, 1]);
  });

  it('are no more than one where one takes long', async () => {
    const { session, runs, ahead, loss } = await begin(600);
    await using _ = session;
    for (let step = 0; step < 3; step++) {
      await loss(step);
      ahead.advance();
    }
    expect(runs).toEqual([1, 1, 1]);
  });

  it('are made again up to the one asked for last, where its state is wanted', async () => {
    const { session, ahead, loss, weight } = await begin();
    await using _ = session;
    let step = 0;
    for (; step < 5; step++) {
      await loss(step);
      ahead.advance();
    }
    await loss(step);
    expect(ahead.isSettled()).toBe(false);
    await ahead.settle();
    expect(await weight()).toBe(weightAfter(step));
    expect(await loss(step)).toBe(Math.fround(weightAfter(step + 1) + 1));
  });

  it('are forgotten where the state is another', async () => {
    const { session, ahead, loss } = await begin();
    await using _ = session;
    await loss(0);
    ahead.advance();
    await loss(1);
    ahead.drop();
    session.setState({ weight: scalar(8) });
    expect(await loss(0)).toBe(17);
  });
});

it.each([
  [9, false],
  [10, true],
  [17, true],
  [18, false],
  [25, true],
])('before step %i of 25, evaluated every 10 and pruned at 17, the weights are wanted: %s', (step, wanted) =>
  expect(isStop(step, { steps: 25, evaluateEvery: 10, isPruned: (at) => at === 17 })).toBe(wanted),
);

it('a training that evaluates nothing stops at its end', () => {
  const training = { steps: 25, evaluateEvery: Infinity, isPruned: () => false };
  expect([24, 25].map((step) => isStop(step, training))).toEqual([false, true]);
});
