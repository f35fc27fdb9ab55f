import { registry as contract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import * as errors from './errors.js';

const minimizable = ['size_bytes', 'p50_ms', 'p99_ms', 'parameters'] as const;
type Minimizable = (typeof minimizable)[number];

const isMinimizable = (name: string): name is Minimizable => (minimizable as readonly string[]).includes(name);

/** A metric that may count. */
interface Metric {
  /** How much worse `value` is than `before`; below 0 where it is better. */
  drop(before: number, value: number): number;
  /** A drop, in words. */
  lost(drop: number): string;
  allowed(drop: number): string;
}

const metrics = {
  accuracy: { drop: fall, lost: (drop) => `${points(drop)} below`, allowed: (drop) => points(drop) },
  r2: { drop: fall, lost: (drop) => `${figure(drop)} below`, allowed: (drop) => figure(drop) },
  perplexity: {
    drop: (before, value) => value / before - 1,
    lost: (drop) => `${percent(drop)} above`,
    allowed: (drop) => percent(drop),
  },
} satisfies Readonly<Record<string, Metric>>;
type MetricName = keyof typeof metrics;

const isMetric = (name: string): name is MetricName => Object.hasOwn(metrics, name);

function fall(before: number, value: number): number {
  return before - value;
}

/** The version the rule chooses among a model's, and how every one of them fared. */
export function choose(
  { name: model, versions }: registry.Model,
  rule: registry.PromotionRule,
): registry.PromoteVersionResponse {
  const { baseline: baselineNumber, maxAccuracyDrop, minimize } = rule;
  const metric = rule.metric || 'accuracy';
  if (!isMetric(metric)) throw errors.badMetric(metric, Object.keys(metrics));
  if (!isMinimizable(minimize)) throw errors.badMinimize(minimize, minimizable);
  if (!(maxAccuracyDrop >= 0 && maxAccuracyDrop <= 1)) throw errors.badDrop(maxAccuracyDrop);

  const { drop, lost, allowed } = metrics[metric];
  const valueOf = ({ metrics: measured }: registry.Version) => measured[metric];
  const baseline =
    baselineNumber === '' ? bestOf(model, versions, metric) : baselineOf(model, versions, baselineNumber, metric);
  const before = valueOf(baseline)!;
  const against = `version ${baseline.version}'s ${figure(before)}`;

  const candidates = versions.map((version) => {
    const problem = obstacle(version, metric, minimize);
    if (problem) return { version: version.version, eligible: false, reason: problem };
    const value = valueOf(version)!;
    const loss = drop(before, value);
    // the last bits of a sum of fractions do not decide
    const eligible = loss <= maxAccuracyDrop + 1e-9;
    const bound = `${lost(loss)} ${against}, ${allowed(maxAccuracyDrop)} allowed`;
    const cost = `${minimize} ${figure(costOf(version, minimize)!)}`;
    return { version: version.version, eligible, reason: `${metric} ${figure(value)} is ${bound}; ${cost}` };
  });

  const eligible = versions.filter((_, i) => candidates[i]!.eligible);
  const [best] = eligible.sort(
    (a, b) =>
      costOf(a, minimize)! - costOf(b, minimize)! ||
      drop(valueOf(b)!, valueOf(a)!) ||
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

function bestOf(model: string, versions: readonly registry.Version[], metric: MetricName): registry.Version {
  const { drop } = metrics[metric];
  const [best] = versions
    .filter((version) => isAdmitted(version) && version.metrics[metric] !== undefined)
    .sort((a, b) => drop(b.metrics[metric]!, a.metrics[metric]!));
  if (!best) throw errors.noBaseline(model, metric);
  return best;
}

function baselineOf(
  model: string,
  versions: readonly registry.Version[],
  number: string,
  metric: MetricName,
): registry.Version {
  const baseline = versions.find(({ version }) => version === number);
  if (!baseline) throw errors.noSuchVersion(model, number);
  if (baseline.metrics[metric] === undefined) throw errors.badBaseline(model, number, `has no metric ${metric}`);
  return baseline;
}

function obstacle(version: registry.Version, metric: MetricName, minimize: Minimizable): string | undefined {
  if (!isAdmitted(version)) return `it is ${stateName(version.state)}, not admitted`;
  if (version.metrics[metric] === undefined) return `it has no metric ${metric}`;
  if (version.metrics['slower_than_parent'] === 1) {
    return `it is slower than its parent: ${figure(version.metrics['speedup'] ?? 0)} times as fast`;
  }
  if (costOf(version, minimize) === undefined) return `it has no metric ${minimize}`;
  return undefined;
}

const costOf = ({ metrics: measured, sizeBytes }: registry.Version, minimize: Minimizable): number | undefined =>
  minimize === 'size_bytes' ? Number(sizeBytes) : measured[minimize];

export const isAdmitted = ({ state }: registry.Version) => state === contract.VersionState.VERSION_STATE_ADMITTED;

/** `registered`, `admitted` or `rejected`. */
export const stateName = (state: registry.VersionState) =>
  contract.VersionState[state].replace('VERSION_STATE_', '').toLowerCase();

const figure = (value: number) => String(Number(value.toPrecision(6)));
const percent = (share: number) => `${Number((share * 100).toFixed(2))} %`;
const points = (fraction: number) => `${Number((fraction * 100).toFixed(2))} points`;
