import type { RunnerEvent } from '@modelmill/runtime';
import type { RunnerCounts } from './metrics.js';

/** Keeps count of what the pool reports. */
export function countRunners(log: (event: string, fields: Readonly<Record<string, unknown>>) => void) {
  let running = 0;
  let started = 0;
  let ended = 0;
  return {
    onRunner(event: RunnerEvent) {
      const { kind, ...fields } = event;
      if (event.kind === 'started') {
        running++;
        started++;
      } else if (event.kind === 'exited') {
        running--;
        ended++;
      }
      log(`runner ${kind}`, fields);
    },
    counts: (): RunnerCounts => ({ running, started, ended }),
  };
}
