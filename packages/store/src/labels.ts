import type { registry } from '@modelmill/contracts';
import { ConflictError, InvalidLabelError, NotFoundError } from './errors.js';
import type { ModelRecord } from './model-records.js';
import { completeRule } from './roll-back.js';
import { completeShadow } from './shadow.js';

/** A label as it is set: what it did before is not part of it. */
export type NewLabel = Pick<registry.Label, 'name' | 'targets'> & Partial<Pick<registry.Label, 'rollBack' | 'shadow'>>;

/** The label as it is kept. Throws InvalidLabelError. */
export function completeLabel({ name, targets, rollBack, shadow }: NewLabel, now: Date): registry.Label {
  const label = { name, targets, rollBack, rolledBack: undefined, shadow };
  checkTargets(label);
  return {
    ...label,
    rollBack: rollBack && completeRule(label, now),
    shadow: shadow && completeShadow(label, now),
  };
}

function checkTargets({ name, targets }: registry.Label): void {
  if (targets.length === 0) throw new InvalidLabelError(`label '${name}' has no targets, wants at least one`);
  const seen = new Set<string>();
  for (const { version, weight } of targets) {
    if (weight < 1)
      throw new InvalidLabelError(`label '${name}' gives version '${version}' weight ${weight}, wants at least 1`);
    if (seen.has(version)) throw new InvalidLabelError(`label '${name}' names version '${version}' twice`);
    seen.add(version);
  }
}

/** Adds or replaces a label. Throws ConflictError when a target has been deleted meanwhile. */
export function withLabel(model: string, record: ModelRecord, label: registry.Label): ModelRecord {
  const { name } = label;
  for (const version of versionsOf(label)) {
    if (record.deletedVersions.includes(Number(version))) {
      throw new ConflictError(`version '${version}' of model '${model}' is being deleted`);
    }
  }
  return { ...record, labels: [...record.labels.filter((known) => known.name !== name), label] };
}

/** Every version that a label keeps: its targets and its shadow. */
export const versionsOf = ({ targets, shadow }: registry.Label): string[] => [
  ...targets.map(({ version }) => version),
  ...(shadow === undefined ? [] : [shadow.version]),
];

/** Removes a label; throws NotFoundError. */
export function withoutLabel(model: string, record: ModelRecord, label: string): ModelRecord {
  const labels = record.labels.filter(({ name }) => name !== label);
  if (labels.length === record.labels.length)
    throw new NotFoundError(`model '${model}' has no label '${label.slice(0, 80)}'`);
  return { ...record, labels };
}
