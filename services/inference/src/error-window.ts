import type { Breach, Sides } from './breach.js';
import { leastExcess } from './confidence.js';
import type { Share } from './confidence.js';

/** The other target's requests, at least, that a decision takes. */
const fewest = 20;

/** Requests that both targets ran and failed to run, until there are enough to decide. */
export interface ErrorWindow {
  add(side: keyof Sides<unknown>, failed: boolean): void;
  /** What is broken, where there are enough requests; the next window begins then. */
  decide(): Breach | undefined;
}

export function createErrorWindow(bound: number, afterRequests: number, versions: Sides<string>): ErrorWindow {
  let counts = none();
  return {
    add(side, failed) {
      counts[side].of++;
      if (failed) counts[side].count++;
    },
    decide() {
      const { trial, other } = counts;
      if (trial.of < afterRequests || other.of < fewest) return undefined;
      counts = none();
      const least = leastExcess(trial, other);
      if (!(least > bound)) return undefined;
      const told = ({ count, of }: Share) => `${count} of ${of}`;
      return {
        reason:
          `version ${versions.trial} could not run ${told(trial)} requests, version ${versions.other} ${told(other)}: ` +
          `at least ${Number(least.toFixed(4))} more with 99 % confidence, ${bound} allowed`,
        data: { failed: trial.count, requests: trial.of, otherFailed: other.count, otherRequests: other.of },
      };
    },
  };
}

const none = () => ({ trial: { count: 0, of: 0 }, other: { count: 0, of: 0 } });
