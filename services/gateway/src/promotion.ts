import { registry as contract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import * as errors from './errors.js';

const minimizable = ['size_bytes', 'p50_ms', 'p99_ms', 'parameters'] as const;
type Minimizable = (typeof minimizable)[number];

const isMinimizable = (name: string): name is Minimizable => (minimizable as readonly string[]).includes(name);

/** The version the rule chooses among a model's, and how every one of them fared. */
export function choose(
  { name: model, versions }: registry.Model,
  rule: registry.PromotionRule,
): registry.PromoteVersionResponse {
  const { baseline: baselineNumber, maxAccuracyDrop, minimize } = rule;
  if (!isMinimizable(minimize)) throw errors.badMinimize(minimize, minimizable);
  if (!(maxAccuracyDrop >= 0 && maxAccuracyDrop <= 1)) throw errors.badDrop(maxAccuracyDrop);

  const baseline = baselineNumber === '' ? mostAccurate(model, versions) : baselineOf(model, versions, baselineNumber);
  const wanted = accuracyOf(baseline)! - maxAccuracyDrop;
  const against = `version ${baseline.version}'s ${figure(accuracyOf(baseline)!)}`;

  const candidates = versions.map((version) => {
    const problem = obstacle(version, minimize);
    if (problem) return { version: version.version, eligible: false, reason: problem };
    const accuracy = accuracyOf(version)!;
    // the last bits of a sum of fractions do not decide
    const eligible = accuracy >= wanted - 1e-9;
    const bound = `${points(accuracyOf(baseline)! - accuracy)} below ${against}, ${points(maxAccuracyDrop)} allowed`;
    const cost = `${minimize} ${figure(costOf(version, minimize)!)}`;
    return { version: version.version, eligible, reason: `accuracy ${figure(accuracy)} is ${bound}; ${cost}` };
  });

  const eligible = versions.filter((_, i) => candidates[i]!.eligible);
  const [best] = eligible.sort(
    (a, b) =>
      costOf(a, minimize)! - costOf(b, minimize)! ||
      accuracyOf(b)! - accuracyOf(a)! ||
      Number(b.version) - Number(a.version),
  );
  if (!best) {
    throw errors.noCandidate(
      model,
      candidates.map(({ version, reason }) => `version ${version}: ${reason}`).join('; '),
    );
  }
  return { version: best.version, candidates };
}

function mostAccurate(model: string, versions: readonly registry.Version[]): registry.Version {
  const [best] = versions
    .filter((version) => isAdmitted(version) && accuracyOf(version) !== undefined)
    .sort((a, b) => accuracyOf(b)! - accuracyOf(a)!);
  if (!best) throw errors.noBaseline(model);
  return best;
}

function baselineOf(model: string, versions: readonly registry.Version[], number: string): registry.Version {
  const baseline = versions.find(({ version }) => version === number);
  if (!baseline) throw errors.noSuchVersion(model, number);
  if (accuracyOf(baseline) === undefined) throw errors.badBaseline(model, number, 'has no metric accuracy');
  return baseline;
}

function obstacle(version: registry.Version, minimize: Minimizable): string | undefined {
  if (!isAdmitted(version)) return `it is ${stateName(version.state)}, not admitted`;
  if (accuracyOf(version) === undefined) return 'it has no metric accuracy';
  if (version.metrics['slower_than_parent'] === 1) {
    return `it is slower than its parent: ${figure(version.metrics['speedup'] ?? 0)} times as fast`;
  }
  if (costOf(version, minimize) === undefined) return `it has no metric ${minimize}`;
  return undefined;
}

const accuracyOf = ({ metrics }: registry.Version): number | undefined => metrics['accuracy'];

const costOf = ({ metrics, sizeBytes }: registry.Version, minimize: Minimizable): number | undefined =>
  minimize === 'size_bytes' ? Number(sizeBytes) : metrics[minimize];

export const isAdmitted = ({ state }: registry.Version) => state === contract.VersionState.VERSION_STATE_ADMITTED;

/** `registered`, `admitted` or `rejected`. */
export const stateName = (state: registry.VersionState) =>
  contract.VersionState[state].replace('VERSION_STATE_', '').toLowerCase();

const figure = (value: number) => String(Number(value.toPrecision(6)));
const points = (fraction: number) => `${Number((fraction * 100).toFixed(2))} points`;
