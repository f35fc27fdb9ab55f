import type { registry } from '@modelmill/contracts';

/** Shares requests among a label's targets by their weights: smooth weighted round robin, so every stretch is fair. */
export interface TrafficSplit {
  readonly targets: readonly registry.LabelTarget[];
  next(): string;
}

export function createTrafficSplit(targets: readonly registry.LabelTarget[]): TrafficSplit {
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  const credits = targets.map(({ version, weight }) => ({ version, weight, credit: 0 }));
  return {
    targets,
    next() {
      let best = credits[0]!;
      if (credits.length === 1) return best.version;
      for (const target of credits) {
        target.credit += target.weight;
        if (target.credit > best.credit) best = target;
      }
      best.credit -= total;
      return best.version;
    },
  };
}

export const sameTargets = (a: readonly registry.LabelTarget[], b: readonly registry.LabelTarget[]) =>
  a.length === b.length &&
  a.every(({ version, weight }, index) => version === b[index]?.version && weight === b[index].weight);
