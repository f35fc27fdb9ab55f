import type { registry } from '@modelmill/contracts';
import { InvalidLabelError } from './errors.js';
import type { ModelRecord } from './model-records.js';
import { withEvent } from './outbox.js';

/** What a replica found out about the version on trial. */
export interface RollBackDecision {
  readonly model: string;
  readonly label: string;
  /** The rule that was followed: one set since then is another one. */
  readonly rule: registry.RollBackRule;
  /** In words with figures. */
  readonly reason: string;
  /** The figures. */
  readonly data: object;
}

const usualRequests = 200;
const requests = { min: 20, max: 1_000_000 };
const mostTimes = 1000;

/** The rule as it is kept: with the version on trial, the number of requests and the time. Throws InvalidLabelError. */
export function completeRule(label: registry.Label, now: Date): registry.RollBackRule {
  const { name, targets } = label;
  const rule = label.rollBack!;
  const wrong = (field: string, got: string | number, wants: string) =>
    new InvalidLabelError(`roll_back.${field} of label '${name}' is ${got}, wants ${wants}`);
  if (targets.length !== 2) {
    throw new InvalidLabelError(
      `label '${name}' has ${targets.length} target(s), wants 2 to roll back from one of them`,
    );
  }
  const { maxErrorShare, maxP50Ratio, maxP99Ratio } = rule;
  if (maxErrorShare === undefined && maxP50Ratio === undefined && maxP99Ratio === undefined) {
    throw new InvalidLabelError(
      `roll_back of label '${name}' has no bound, wants max_error_share, max_p50_ratio or max_p99_ratio`,
    );
  }
  if (maxErrorShare !== undefined && !(maxErrorShare >= 0 && maxErrorShare < 1)) {
    throw wrong('max_error_share', maxErrorShare, 'a share from 0 to below 1');
  }
  const ratios = [
    ['max_p50_ratio', maxP50Ratio],
    ['max_p99_ratio', maxP99Ratio],
  ] as const;
  for (const [field, ratio] of ratios) {
    if (ratio !== undefined && !(ratio >= 1 && ratio <= mostTimes)) {
      throw wrong(field, ratio, `a number from 1 to ${mostTimes}`);
    }
  }
  const afterRequests = rule.afterRequests === 0 ? usualRequests : rule.afterRequests;
  if (!(afterRequests >= requests.min && afterRequests <= requests.max)) {
    throw wrong('after_requests', afterRequests, `a whole number from ${requests.min} to ${requests.max}`);
  }
  return { ...rule, version: onTrial(rule.version, label), afterRequests, setAt: now };
}

function onTrial(version: string, { name, targets }: registry.Label): string {
  const [one, other] = targets as [registry.LabelTarget, registry.LabelTarget];
  if (version === '') {
    if (one.weight !== other.weight) return one.weight < other.weight ? one.version : other.version;
    throw new InvalidLabelError(
      `label '${name}' gives both targets weight ${one.weight}, wants roll_back.version to say which one is on trial`,
    );
  }
  if (version === one.version || version === other.version) return version;
  throw new InvalidLabelError(
    `roll_back.version of label '${name}' is '${version}', wants '${one.version}' or '${other.version}'`,
  );
}

/**
 * Gives all of a label's weight to its other target, and tells; undefined where the label has been set, or has been rolled
 * back, since the rule was.
 */
export function withRolledBack(
  record: ModelRecord,
  { model, label: name, rule, reason, data }: RollBackDecision,
  by: { readonly replica: string; readonly time: Date },
): ModelRecord | undefined {
  const label = record.labels.find((known) => known.name === name);
  if (label?.rollBack?.setAt?.getTime() !== rule.setAt?.getTime()) return undefined;
  const left = label!.targets.filter(({ version }) => version !== rule.version);
  const moved: registry.Label = {
    name,
    targets: left.map(({ version }) => ({ version, weight: 1 })),
    rollBack: undefined,
    rolledBack: { version: rule.version, reason, ...by },
    shadow: label!.shadow,
  };
  const event = {
    subject: `model.${model}.${rule.version}.rolled-back`,
    data: { model, version: rule.version, label: name, to: left[0]!.version, replica: by.replica, reason, ...data },
    msgId: `model.${model}.${rule.version}.rolled-back.${name}.${rule.setAt!.getTime()}`, // a rule does it once
  };
  const labels = record.labels.map((known) => (known.name === name ? moved : known));
  return withEvent({ ...record, labels }, event);
}
