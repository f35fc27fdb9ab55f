import type { registry } from '@modelmill/client';
import { UsageError } from '../cli-error.js';
import { numberFlag } from '../read-args.js';

/** Flags of `models label` that say when the label leaves a target by itself. */
export const rollBackFlags = {
  'roll-back-errors': { type: 'string' },
  'roll-back-p50': { type: 'string' },
  'roll-back-p99': { type: 'string' },
  'roll-back-after': { type: 'string' },
  'on-trial': { type: 'string' },
} as const;

type Values = { readonly [Flag in keyof typeof rollBackFlags]?: string | undefined };

/** The rule of the flags; undefined where none is given. */
export function rollBackOf(values: Values): Partial<registry.RollBackRule> | undefined {
  const given = Object.keys(rollBackFlags).filter((flag) => values[flag as keyof Values] !== undefined);
  if (given.length === 0) return undefined;
  const number = (flag: keyof Values, bounds: { min: number; max: number }) =>
    values[flag] === undefined ? undefined : numberFlag(flag, values[flag], bounds);
  const bounds = {
    maxErrorShare: number('roll-back-errors', { min: 0, max: 0.999 }),
    maxP50Ratio: number('roll-back-p50', { min: 1, max: 1000 }),
    maxP99Ratio: number('roll-back-p99', { min: 1, max: 1000 }),
  };
  if (Object.values(bounds).every((bound) => bound === undefined)) {
    throw new UsageError(`--${given[0]} wants --roll-back-errors, --roll-back-p50 or --roll-back-p99 with it`);
  }
  const afterRequests = number('roll-back-after', { min: 20, max: 1_000_000 }) ?? 0;
  return { ...bounds, afterRequests, version: values['on-trial'] ?? '' };
}

/** What a label's rule is waiting for, or did; undefined where it has none. */
export function rollBackText({ name, rollBack, rolledBack }: registry.Label): string | undefined {
  if (rolledBack !== undefined) {
    return `${name} was rolled back from version ${rolledBack.version}: ${rolledBack.reason}`;
  }
  if (rollBack === undefined) return undefined;
  const { version, maxErrorShare, maxP50Ratio, maxP99Ratio, afterRequests } = rollBack;
  const bounds = [
    maxErrorShare !== undefined && `fails ${maxErrorShare} more of its requests than the other target`,
    maxP50Ratio !== undefined && `has ${maxP50Ratio} times its p50`,
    maxP99Ratio !== undefined && `has ${maxP99Ratio} times its p99`,
  ].filter((bound) => bound !== false);
  return `${name} leaves version ${version} when it ${bounds.join(', or ')}; looked at every ${afterRequests} requests`;
}
