import { trainer as contract } from '@modelmill/contracts';
import type { JobClaim } from '@modelmill/store';
import type { ProgressReport } from './training-messages.js';

const writeMs = 250;

/** Tells a job's progress: every report as an event, and every quarter of a second, at most, on the job's record. */
export function reportProgress(claim: JobClaim) {
  let latest: ProgressReport | undefined;
  let metrics: ProgressReport['metrics'] = {};
  let writing: Promise<void> | undefined;
  let writtenAt = 0;

  async function write(): Promise<void> {
    while (latest !== undefined) {
      const report = { ...latest, metrics };
      latest = undefined;
      writtenAt = Date.now();
      const { step, steps, residentBytes } = report;
      const counters = { step: BigInt(step), steps: BigInt(steps), residentBytes: BigInt(residentBytes) };
      const message = { ...report, ...counters };
      await claim.update({
        stage: 'training',
        done: step / steps,
        progress: contract.TrainingProgress.encode(message).finish(),
      });
    }
  }

  const start = () =>
    (writing ??= write()
      .catch(() => {}) // the claim's signal tells a lost job, and the next report says more
      .finally(() => (writing = undefined)));

  return {
    async tell(report: ProgressReport): Promise<void> {
      latest = report;
      const { length } = Object.keys(report.metrics);
      if (length > 0) metrics = report.metrics;
      claim.progressed({ ...report, metrics });
      if (Date.now() - writtenAt >= writeMs) void start();
    },
    /** The last report is on the record. */
    async flush(): Promise<void> {
      await writing;
      await start();
    },
  };
}
