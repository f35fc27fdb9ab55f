import type { optimizer } from '@modelmill/contracts';
import { refinements } from './refine.js';
import type { Known } from './refine.js';
import { presetPasses } from '../preset-passes.js';
import { firstCandidates, inEightBits, narrowTo, prune, quantizeStatic, shareWeights } from './search-space.js';
import type { SearchCandidate } from './search-space.js';

const layers = { sensitive: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], slower: ['c'] };
const int8 = (exclude: readonly string[] = [], calibration = 'minmax'): SearchCandidate => ({
  name: `int8 without ${exclude.join()}`,
  passes: [quantizeStatic(calibration, exclude)],
});

/** Tries what is proposed until nothing new is, where what is good is known. */
function follow(
  first: SearchCandidate[],
  isGood: (candidate: SearchCandidate) => boolean,
  optimize: 'fastest' | 'smallest',
) {
  const known: Known[] = [];
  const judged = (one: SearchCandidate) => ({ ...one, isGood: isGood(one), drop: isGood(one) ? 0 : 0.1 });
  known.push(...first.map(judged));
  for (;;) {
    const next = refinements(known, optimize, layers).find(({ name }) => known.every((one) => one.name !== name));
    if (!next) return known.slice(first.length);
    if (known.length > 50) throw new Error('it never ends');
    known.push(judged(next));
  }
}

const excluded = ({ passes: [pass] }: SearchCandidate) =>
  pass?.kind?.$case === 'quantizeStatic' ? pass.kind.quantizeStatic.exclude : [];
const kindsOf = ({ passes }: SearchCandidate) => passes.map(({ kind }) => kind?.$case);
const isRounded = (candidate: SearchCandidate) => kindsOf(candidate)[0] === 'quantizeStatic';
const shareOf = ({ kind }: optimizer.Pass) =>
  kind?.$case === 'pruneStructured'
    ? kind.pruneStructured.multiplyAdds
    : kind?.$case === 'distill'
      ? kind.distill.thinned!.multiplyAdds
      : 1;

const calibrations = ['minmax', 'percentile', 'entropy', 'mse'].map(inEightBits);

it.each([1, 2, 3, 5, 6, 7])('as few of the most sensitive layers as are enough stay in floats: %d', (needed) => {
  const all = follow(calibrations, (one) => excluded(one).length >= needed, 'fastest');
  const tried = all.filter(isRounded);
  expect(all).toHaveLength(tried.length + 1); // trained with the rounding
  const good = tried.filter((one) => excluded(one).length >= needed).map((one) => excluded(one).length);
  expect(Math.min(...good)).toBe(needed);
  for (const one of tried) expect(excluded(one)).toEqual(layers.sensitive.slice(0, excluded(one).length));
  expect(tried.length).toBeLessThanOrEqual(2 * Math.log2(layers.sensitive.length)); // by doubling and bisection
});

it('no layer stays in floats for nothing, and never all of them', () => {
  expect(follow([int8()], () => true, 'smallest')).toEqual([]);
  const hopeless = follow(calibrations, () => false, 'fastest')
    .filter(isRounded)
    .map((one) => excluded(one).length);
  expect(hopeless).toEqual([1, 2, 4, 7]);
});

it('where eight bits are good, layers that are slower in them stay in floats, if it is time that counts', () =>
  expect(follow([int8()], () => true, 'fastest').map(excluded)).toEqual([['c']]));

it('the calibration that loses least is gone on with', () => {
  const known = calibrations.map((one) => ({ ...one, isGood: false, drop: one.name.includes('entropy') ? 0.1 : 0.2 }));
  const names = refinements(known, 'fastest', layers).map(({ name }) => name);
  expect(names).toContain('int8, entropy, in floats: a');
  const combined = refinements([...known, { ...narrowTo(0.5), isGood: true, drop: 0 }], 'fastest', layers);
  expect(combined).toContainEqual({
    name: 'half the multiply-adds, int8, entropy', // with MinMax it was tried before
    passes: [...narrowTo(0.5).passes, quantizeStatic('entropy')],
  });
});

it.each([0.6, 0.3, 0.1])('a network is narrowed to about what is good: %d of the multiply-adds', (least) => {
  const isGood = ({ passes }: SearchCandidate) => passes.every((pass) => shareOf(pass) >= least);
  const tried = follow([narrowTo(0.5)], isGood, 'fastest');
  const all = [narrowTo(0.5), ...tried];
  const good = all.filter(isGood).map(({ passes: [pass] }) => shareOf(pass!));
  expect(Math.min(...good)).toBeGreaterThanOrEqual(least);
  expect(Math.min(...good)).toBeLessThan(least + 0.25 * (least + 0.1));
  // and the narrowest good one is tried in eight bits
  const both = tried.filter(({ passes }) => passes[1]?.kind?.$case === 'quantizeStatic');
  expect(both.map(({ passes: [pass] }) => shareOf(pass!))).toContain(Math.min(...good));
});

it('where so narrow a network cannot be fine-tuned, a student of that width is tried', () => {
  const tried = follow([narrowTo(0.5)], () => false, 'fastest').map(({ name }) => name);
  expect(tried).toContain('a student with 75 % of the multiply-adds');
});

it('other calibrations are tried where the first one loses too much, and only there', () => {
  const names = (isGood: boolean) => follow([int8()], () => isGood, 'smallest').map(({ name }) => name);
  expect(names(true)).toEqual([]);
  expect(names(false).slice(0, 3)).toEqual(['int8, percentile', 'int8, entropy', 'int8, least squares']);
});

it.each(['fastest', 'smallest'] as const)('what is trained comes after what is not: %s', (optimize) => {
  const trains = ['pruneMagnitude', 'pruneStructured', 'distill', 'quantizeAware'];
  const trained = firstCandidates(optimize).map((one) => kindsOf(one).some((kind) => trains.includes(kind!)));
  expect(trained).toEqual([...trained].sort((a, b) => Number(a) - Number(b)));
  expect(new Set(trained).size).toBe(2);
});

it('presets, halves and weights of few bits are tried at once', () => {
  const passesOf = (optimize: 'fastest' | 'smallest') => firstCandidates(optimize).map(({ passes }) => passes);
  expect(passesOf('fastest')).toContainEqual(presetPasses('fast'));
  expect(passesOf('smallest')).toContainEqual(presetPasses('compact'));
  const kinds = (optimize: 'fastest' | 'smallest') => firstCandidates(optimize).map((one) => kindsOf(one).join());
  expect(kinds('fastest')).toEqual(expect.arrayContaining(['computeHalves', 'quantizeWeights']));
  expect(kinds('smallest')).toEqual(expect.arrayContaining(['storeHalves', 'quantizeWeights']));
});

it('eight bits are trained with where rounding to them loses too much, after all that needs no training', () => {
  const tried = follow(calibrations, () => false, 'fastest').map((one) => kindsOf(one)[0]);
  expect(tried.filter((kind) => kind === 'quantizeAware')).toHaveLength(1);
  expect(tried.indexOf('quantizeAware')).toBeGreaterThan(tried.lastIndexOf('quantizeStatic'));
  expect(follow(calibrations, () => true, 'fastest').flatMap(kindsOf)).not.toContain('quantizeAware');
});

it('four bits are tried with searched zero points where they lose too much and eight do not', () => {
  const first = firstCandidates('fastest').filter((one) => kindsOf(one).join() === 'quantizeWeights');
  const names = follow(first, ({ name }) => name === 'int8 weights', 'fastest').map(({ name }) => name);
  expect(first.map(({ name }) => name)).toContain('int4 weights');
  expect(names.filter((name) => name.includes('half-quadratic'))).toHaveLength(1);
});

it('a student that is good is tried in eight bits', () => {
  const isGood = (one: SearchCandidate) => kindsOf(one)[0] === 'distill';
  const tried = follow([narrowTo(0.5)], isGood, 'fastest').map(({ name }) => name);
  expect(tried).toContain('a student with 75 % of the multiply-adds, int8');
});

it('signs are tried where few shared weights are good and it is size that counts', () => {
  const first = [{ name: '8 shared weights', passes: [shareWeights(8)] }];
  const names = (isGood: boolean, optimize: 'fastest' | 'smallest') =>
    follow(first, () => isGood, optimize).map(({ name }) => name);
  expect(names(true, 'smallest')).toEqual(['ternary weights', 'binary weights']);
  expect(names(false, 'smallest')).toEqual([]);
  expect(names(true, 'fastest')).toEqual([]);
});

it('zeros are searched for where it is size that counts', () => {
  const isGood = ({ passes: [pass] }: SearchCandidate) =>
    pass?.kind?.$case === 'pruneMagnitude' && pass.kind.pruneMagnitude.sparsity <= 0.93;
  const names = (optimize: 'fastest' | 'smallest') =>
    follow([prune(0.9), prune(0.95)], isGood, optimize).map(({ name }) => name);
  expect(names('smallest')).toEqual(['92.5 % zeros', '93.8 % zeros']);
  expect(names('fastest')).toEqual([]);
});
