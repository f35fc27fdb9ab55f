import type { Tensors } from './divergence.js';
import type { Steps } from './step-session.js';
import { stepsAhead } from './steps-ahead.js';

/** Runs that are no larger than the one before. */
const timedRuns = 3;

/**
 * How long a step takes where as many are made at once as a training makes, which begins with few: in the fastest run after
 * the first, for others may have waited for the machine. `now`: a clock of milliseconds.
 */
export async function stepMilliseconds(
  session: Steps,
  feedsAt: (step: number) => Promise<Tensors>,
  now: () => number = () => performance.now(),
): Promise<number> {
  const ahead = stepsAhead(session, { feedsAt, formAt: () => 'model', isStop: () => false }, now);
  let fastest = Infinity;
  let before = 0;
  let step = 0;
  for (let timed = 0; timed < timedRuns;) {
    const first = step;
    const began = now();
    do {
      await ahead.run(step++);
      ahead.advance();
    } while (!ahead.isSettled());
    const count = step - first;
    if (before > 0) fastest = Math.min(fastest, (now() - began) / count);
    if (count <= before) timed++;
    before = count;
  }
  return fastest;
}
