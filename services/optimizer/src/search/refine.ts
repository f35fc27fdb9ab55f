import type { optimizer } from '@modelmill/contracts';
import type { PlannedGoal } from './goal.js';
import type { LayerOrder } from './search-log.js';
import {
  distillThinned,
  fewBitsHqq,
  inEightBits,
  narrowTo,
  prune,
  quantizeStatic,
  shareWeights,
  signs,
  trainedInEightBits,
} from './search-space.js';
import type { SearchCandidate } from './search-space.js';

/** A candidate that was made. */
export interface Known extends SearchCandidate {
  /** What it lost, as `max_drop` counts it. */
  readonly drop: number;
  /** Whether it lost no more than it may. */
  readonly isGood: boolean;
}

/** Candidates around the best of those known, what promises most first; some of them may be known already. */
export function refinements(
  known: readonly Known[],
  optimize: PlannedGoal['optimize'],
  layers: LayerOrder | undefined,
): SearchCandidate[] {
  const narrowed = narrower(known);
  return [
    ...calibrated(known),
    ...(layers ? mixed(known, optimize, layers) : []),
    ...(optimize === 'smallest' ? fewerValues(known) : []),
    ...trained(known),
    ...narrowed,
    ...combined(known, optimize),
    ...(optimize === 'smallest' ? sparser(known) : []),
  ];
}

type Kind = NonNullable<optimizer.Pass['kind']>;
type Of<C extends Kind['$case']> = Extract<Kind, { $case: C }>;

/** Those of one pass of a kind. */
function alone<C extends Kind['$case']>(known: readonly Known[], name: C): { one: Known; pass: Of<C> }[] {
  return known.flatMap((one) => {
    const [kind, another] = one.passes.map((pass) => pass.kind);
    return kind?.$case === name && another === undefined && one.passes.length === 1
      ? [{ one, pass: kind as Of<C> }]
      : [];
  });
}

const allInEightBits = (known: readonly Known[]) =>
  alone(known, 'quantizeStatic').filter(({ pass }) => pass.quantizeStatic.exclude.length === 0);

/** Whether some were tried, and all of them lose too much. */
const wanting = (tried: readonly { readonly one: Known }[]) => tried.length > 0 && !tried.some(({ one }) => one.isGood);

/** Other ways to the same form, as fast and as small, where the first one loses too much. */
function calibrated(known: readonly Known[]): SearchCandidate[] {
  const four = alone(known, 'quantizeWeights').filter(({ pass }) => pass.quantizeWeights.bits === 4);
  return [
    ...(wanting(allInEightBits(known)) ? ['percentile', 'entropy', 'mse'].map(inEightBits) : []),
    ...(wanting(four) ? [fewBitsHqq] : []),
  ];
}

/** Eight bits that are trained with, where rounding all layers to them loses too much. */
function trained(known: readonly Known[]): SearchCandidate[] {
  return wanting(allInEightBits(known)) ? [trainedInEightBits] : [];
}

/** Three values a weight where eight are enough, and two where three are. */
function fewerValues(known: readonly Known[]): SearchCandidate[] {
  const eight = alone(known, 'shareWeights').some(({ one, pass }) => one.isGood && pass.shareWeights.clusters <= 8);
  const three = alone(known, 'quantizeSigns').some(({ one }) => one.isGood);
  return [...(eight ? [signs('ternary')] : []), ...(three ? [signs('binary')] : [])];
}

/** Of those in eight bits throughout, the calibration that lost least; MinMax before there are any. */
function bestCalibration(known: readonly Known[]): string {
  const [best] = alone(known, 'quantizeStatic')
    .filter(({ pass }) => pass.quantizeStatic.exclude.length === 0)
    .sort((a, b) => a.one.drop - b.one.drop);
  return best?.pass.quantizeStatic.calibration ?? 'minmax';
}

/**
 * Eight bits with layers in floats: where all in eight bits lose too much, the most sensitive ones, as few as are enough;
 * where they do not, those that eight bits make slower.
 */
function mixed(known: readonly Known[], optimize: PlannedGoal['optimize'], { sensitive, slower }: LayerOrder) {
  const tried = alone(known, 'quantizeStatic').map(({ one, pass }) => ({ one, ...pass.quantizeStatic }));
  const [base] = tried.filter(({ exclude }) => exclude.length === 0).sort((a, b) => a.one.drop - b.one.drop);
  if (!base) return [];
  const without = (exclude: readonly string[]): SearchCandidate => ({
    name: `int8, ${base.calibration}, in floats: ${exclude.join(', ')}`,
    passes: [quantizeStatic(base.calibration, exclude)],
  });
  if (base.one.isGood) {
    const helps = optimize === 'fastest' && slower.length > 0 && slower.length < sensitive.length;
    return helps ? [without(slower)] : [];
  }
  const counts = tried.filter(
    ({ calibration, exclude }) => calibration === base.calibration && exclude.every((name, i) => name === sensitive[i]),
  );
  const failing = Math.max(...counts.filter(({ one }) => !one.isGood).map(({ exclude }) => exclude.length));
  const enough = Math.min(...counts.filter(({ one }) => one.isGood).map(({ exclude }) => exclude.length));
  const next =
    enough < Infinity ? Math.floor((failing + enough) / 2) : Math.min(2 * failing || 1, sensitive.length - 1);
  return next > failing && next < enough && next < sensitive.length ? [without(sensitive.slice(0, next))] : [];
}

/** The share of the multiply-adds that is enough, by bisection; where one is not enough, a student of that width. */
function narrower(known: readonly Known[]): SearchCandidate[] {
  const tried = alone(known, 'pruneStructured').map(({ one, pass }) => ({
    one,
    share: pass.pruneStructured.multiplyAdds,
  }));
  if (tried.length === 0) return [];
  const good = Math.min(1, ...tried.filter(({ one }) => one.isGood).map(({ share }) => share));
  const bad = Math.max(0, ...tried.filter(({ one, share }) => !one.isGood && share < good).map(({ share }) => share));
  const next = Number(((good + bad) / 2).toPrecision(3));
  return [
    ...(good - bad > good / 4 && next > 0.01 && next < 0.9 ? [narrowTo(next)] : []),
    ...(bad > 0 ? [distillThinned(bad)] : []),
  ];
}

/** The narrowest good network, in the forms that serve the goal. */
function combined(known: readonly Known[], optimize: PlannedGoal['optimize']): SearchCandidate[] {
  const narrow = known
    .filter(({ isGood, passes }) => isGood && passes.length === 1 && shareOf(passes[0]!) < 1)
    .sort((a, b) => shareOf(a.passes[0]!) - shareOf(b.passes[0]!))[0];
  if (!narrow) return [];
  const calibration = bestCalibration(known);
  const forms: readonly SearchCandidate[] =
    optimize === 'fastest'
      ? [
          {
            name: calibration === 'minmax' ? 'int8' : inEightBits(calibration).name,
            passes: [quantizeStatic(calibration)],
          },
        ]
      : [
          { name: '16 shared weights', passes: [shareWeights(16)] },
          { name: '8 shared weights', passes: [shareWeights(8)] },
        ];
  return forms.map(({ name, passes }) => ({ name: `${narrow.name}, ${name}`, passes: [...narrow.passes, ...passes] }));
}

/** Of the multiply-adds that a pass leaves; 1 for a pass that removes none. */
function shareOf({ kind }: optimizer.Pass): number {
  if (kind?.$case === 'pruneStructured') return kind.pruneStructured.multiplyAdds || 1;
  return kind?.$case === 'distill' ? kind.distill.thinned?.multiplyAdds || 1 : 1;
}

/** The most zeros that are good, by bisection. */
function sparser(known: readonly Known[]): SearchCandidate[] {
  const tried = alone(known, 'pruneMagnitude').map(({ one, pass }) => ({ one, zeros: pass.pruneMagnitude.sparsity }));
  if (tried.length === 0) return [];
  const good = Math.max(0, ...tried.filter(({ one }) => one.isGood).map(({ zeros }) => zeros));
  const bad = Math.min(1, ...tried.filter(({ one, zeros }) => !one.isGood && zeros > good).map(({ zeros }) => zeros));
  const next = Number(((good + bad) / 2).toFixed(3));
  return bad - good > 0.02 && next < 0.99 ? [prune(next)] : [];
}
