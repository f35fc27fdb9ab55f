import { setTimeout as sleep } from 'node:timers/promises';
import type { JobClaim } from '@modelmill/store';
import type { Tell } from './make-passes.js';

const writeMs = 250;

export interface Stages {
  /** Does not wait: of what is told in quick succession the record gets the last. */
  readonly tell: Tell;
  /** The last stage is on the record. */
  flush(): Promise<void>;
}

/** Tells how a job gets on: as events, and every quarter of a second, at most, on the job's record. */
export function reportStages(claim: Pick<JobClaim, 'update' | 'progressed'>): Stages {
  let latest: { readonly stage: string; readonly done: number } | undefined;
  let writing: Promise<void> | undefined;
  const flushing = new AbortController();

  async function write(): Promise<void> {
    while (latest) {
      const told = latest;
      latest = undefined;
      await claim.update(told);
      await sleep(writeMs, undefined, { signal: flushing.signal }).catch(() => {}); // told to hurry
    }
  }

  const start = () =>
    (writing ??= write()
      .catch(() => {}) // the claim's signal tells a lost job, and the next stage says more
      .finally(() => (writing = undefined)));

  return {
    async tell(stage, done) {
      latest = { stage, done };
      claim.progressed(latest);
      void start();
    },
    async flush() {
      flushing.abort();
      await writing;
    },
  };
}
