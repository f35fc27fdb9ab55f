import type { registry, serving } from '@modelmill/contracts';
import type { ServedVersion } from './served-version.js';
import { createShadow } from './shadow.js';
import type { Shadow, ShadowGround } from './shadow.js';
import type { Routed } from './trials.js';

/** The shadow of one label. */
export interface LabelShadow extends Shadow {
  readonly model: string;
  readonly label: string;
}

/** The shadows of labels, by what this replica itself has answered and run. */
export interface Shadows extends Disposable {
  /** The version, with its answers passed on where the label has a shadow. */
  through(routed: Routed, served: ServedVersion): ServedVersion;
  /** Begins what labels want, and forgets what they want no more. */
  follow(models: readonly registry.Model[]): void;
  find(model: string, label: string): LabelShadow | undefined;
  all(): LabelShadow[];
}

export interface ShadowsOptions extends Pick<ShadowGround, 'isBusy'> {
  /** Shadows that run at a time. */
  readonly atOnce: number;
  /** The version, where it is ready. */
  find(model: string, version: string): ServedVersion | undefined;
}

export function createShadows({ atOnce, find, isBusy }: ShadowsOptions): Shadows {
  const byModel = new Map<string, Map<string, LabelShadow>>();
  let inTurn: LabelShadow[] = [];
  let running = 0;

  function begin(model: string, label: string, setting: registry.Shadow): LabelShadow {
    const shadow = createShadow(setting, {
      find: () => find(model, setting.version),
      isBusy,
      enter() {
        if (running >= atOnce) return false;
        running++;
        return true;
      },
      leave() {
        running--;
        inTurn = [...inTurn.filter((of) => of !== begun), ...inTurn.filter((of) => of === begun)]; // behind the others
        for (const of of inTurn) of.proceed();
      },
    });
    const begun = Object.assign(shadow, { model, label });
    return begun;
  }

  return {
    through({ model: { name }, label }, served) {
      if (byModel.size === 0) return served;
      const shadow = byModel.get(name)?.get(label);
      return shadow === undefined ? served : shadow.over(served);
    },
    follow(models) {
      const before = new Set(inTurn);
      byModel.clear();
      for (const { name: model, labels } of models) {
        for (const { name: label, shadow: setting } of labels) {
          if (setting === undefined) continue;
          const known = inTurn.find((of) => of.model === model && of.label === label && isSame(of.setting, setting));
          const shadow = known ?? begin(model, label, setting);
          if (!byModel.has(model)) byModel.set(model, new Map());
          byModel.get(model)!.set(label, shadow);
        }
      }
      inTurn = [...byModel.values()].flatMap((labels) => [...labels.values()]);
      for (const shadow of inTurn) before.delete(shadow);
      for (const shadow of before) shadow[Symbol.dispose]();
    },
    find: (model, label) => byModel.get(model)?.get(label),
    all: () => [...inTurn],
    [Symbol.dispose]() {
      for (const shadow of inTurn) shadow[Symbol.dispose]();
    },
  };
}

/** Whether requests that somebody waits for take or want every runner: then shadows wait. */
export const wantEveryRunner = (versions: readonly Pick<ServedVersion, 'demand'>[], runners: number): boolean =>
  versions.reduce((demand, served) => demand + served.demand(), 0) >= runners;

const isSame = (a: registry.Shadow, b: registry.Shadow) => a.setAt?.getTime() === b.setAt?.getTime();

/** What this replica tells of a shadow. */
export function comparisonMessage({ model, label, setting, tally }: LabelShadow): serving.ShadowComparison {
  const { answered, picked, compared, failed, lastFailure } = tally.counts;
  return {
    model,
    label,
    ...setting,
    replicas: 1,
    answered: BigInt(answered),
    picked: BigInt(picked),
    compared: BigInt(compared),
    failed: BigInt(failed),
    lastFailure,
    dropped: Object.fromEntries([...tally.dropped].map(([reason, requests]) => [reason, BigInt(requests)])),
    waiting: BigInt(tally.waiting()),
    outputs: tally.outputs(),
    answeredTimes: tally.times.answered.message(),
    shadowTimes: tally.times.shadow.message(),
  };
}
