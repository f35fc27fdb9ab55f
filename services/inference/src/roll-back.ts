import type { Store } from '@modelmill/store';
import { metricFamily } from './metric-family.js';
import type { Sample } from './metric-family.js';
import { createTrials } from './trials.js';
import type { LabelBreach, Trials } from './trials.js';

/** Trials that move their labels, and what there is to see of them. */
export interface RollBacks extends Trials {
  metricsText(): string;
}

/** Moves a label when its rule says so. `log` hears of each, `onTrouble` of what could not be moved: the next window tries. */
export function createRollBacks(
  registry: Pick<Store['registry'], 'rollBack'>,
  log: (event: string, fields: object) => void,
  onTrouble: (event: string, fields: object) => (error: unknown) => void,
): RollBacks {
  const done = new Map<string, number>();

  async function moveLabel({ model, label, rule, reason, data }: LabelBreach): Promise<void> {
    const fields = { model, label, version: rule.version, reason };
    try {
      const moved = await registry.rollBack({ model, label, rule, reason, data });
      log(moved ? 'label rolled back' : 'label not rolled back, it has moved', fields);
      if (!moved) return;
      const labels = labelsText({ model, label, version: rule.version });
      done.set(labels, (done.get(labels) ?? 0) + 1);
    } catch (error) {
      onTrouble('label not rolled back', fields)(error);
    }
  }

  const trials = createTrials(moveLabel);
  return {
    ...trials,
    metricsText() {
      const counts = trials.counts();
      const samples = (of: 'requests' | 'failed') => counts.map((side): Sample => [labelsText(side), side[of]]);
      const lines = [
        ...metricFamily('mill_label_roll_backs_total', 'counter', 'Labels this replica moved back', [...done]),
        ...metricFamily('mill_trial_requests_total', 'counter', 'Requests run under a label on trial', samples('requests')),
        ...metricFamily('mill_trial_failures_total', 'counter', 'Those of them that could not be run', samples('failed')),
      ]; // prettier-ignore
      return `${lines.join('\n')}\n`;
    },
  };
}

/** Names cannot hold what would need escaping. */
const labelsText = ({ model, label, version }: { model: string; label: string; version: string }) =>
  `{model="${model}",label="${label}",version="${version}"}`;
