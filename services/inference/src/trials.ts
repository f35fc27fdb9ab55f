import type { registry } from '@modelmill/contracts';
import type { CostCurve } from './batch-cost.js';
import type { Breach } from './breach.js';
import type { ServedVersion } from './served-version.js';
import { sameTargets } from './traffic-split.js';
import { createTrial } from './trial.js';
import type { RunCounts, Trial } from './trial.js';

/** Whose label broke which bound of its rule. */
export interface LabelBreach extends Breach {
  readonly model: string;
  readonly label: string;
  readonly rule: registry.RollBackRule;
}

/** A request that a label sent to one of its targets of the moment. */
export interface Routed {
  readonly model: registry.Model;
  readonly label: string;
  readonly targets: readonly registry.LabelTarget[];
  readonly served: ServedVersion;
}

/** The trials of labels that have a rule for rolling back, by what this replica itself has run. */
export interface Trials {
  /** The version, watched where its label wants it. */
  through(routed: Routed): ServedVersion;
  /** Forgets what no label wants any more. */
  follow(models: readonly registry.Model[]): void;
  counts(): (RunCounts & { readonly model: string; readonly label: string })[];
}

interface Running {
  readonly model: string;
  readonly label: string;
  readonly trial: Trial;
  readonly watched: Map<string, { readonly of: ServedVersion; readonly served: ServedVersion }>;
}

export function createTrials(onBreach: (breach: LabelBreach) => Promise<void>): Trials {
  const running = new Map<string, Running>();

  function begin({ model: { name: model }, label, targets }: Routed, rule: registry.RollBackRule): Running {
    const other = targets.find(({ version }) => version !== rule.version)!.version;
    const watched: Running['watched'] = new Map();
    const cost = (): CostCurve => watched.get(other)?.of.computeCost ?? [];
    const trial = createTrial(rule, other, cost, (breach) => onBreach({ model, label, rule, ...breach }));
    const begun = { model, label, trial, watched };
    running.set(keyOf(model, label), begun);
    return begun;
  }

  return {
    through(routed) {
      const { model, label, targets, served } = routed;
      const known = model.labels.find(({ name }) => name === label);
      const rule = known?.rollBack;
      // while a target is not loaded the others get its requests, and there is nothing to compare
      if (rule === undefined || !sameTargets(targets, known!.targets)) return served;
      let now = running.get(keyOf(model.name, label));
      if (now === undefined || !isSame(now.trial.rule, rule)) now = begin(routed, rule);
      const before = now.watched.get(served.version);
      if (before?.of === served) return before.served;
      const watch = now.trial.watch(served.version);
      const infer: ServedVersion['infer'] = (request, caller) => served.infer(request, { ...caller, watch });
      const watched = Object.assign(Object.create(served) as ServedVersion, { infer }); // all else stays as it is there
      now.watched.set(served.version, { of: served, served: watched });
      return watched;
    },
    follow(models) {
      for (const [key, { model, label, trial }] of running) {
        const labels = models.find(({ name }) => name === model)?.labels;
        const rule = labels?.find(({ name }) => name === label)?.rollBack;
        if (rule === undefined || !isSame(rule, trial.rule)) running.delete(key);
      }
    },
    counts: () =>
      [...running.values()].flatMap(({ model, label, trial }) =>
        trial.counts().map((counts) => ({ model, label, ...counts })),
      ),
  };
}

const keyOf = (model: string, label: string) => `${model}/${label}`;
const isSame = (a: registry.RollBackRule, b: registry.RollBackRule) => a.setAt?.getTime() === b.setAt?.getTime();
