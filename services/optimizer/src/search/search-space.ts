import { optimizer } from '@modelmill/contracts';
import { presetPasses } from '../preset-passes.js';
import type { PlannedGoal } from './goal.js';

/** Passes that a search tries, in the order it tries them: what promises most comes first. */
export interface SearchCandidate {
  readonly name: string;
  readonly passes: readonly optimizer.Pass[];
}

const pass = (kind: NonNullable<optimizer.Pass['kind']>) => optimizer.Pass.fromPartial({ kind });
export const quantizeStatic = (calibration: string, exclude: readonly string[] = []) =>
  pass({
    $case: 'quantizeStatic',
    quantizeStatic: optimizer.StaticQuantization.fromPartial({ calibration, exclude: [...exclude] }),
  });
const quantizeWeights = (fields: Partial<optimizer.WeightQuantization>) =>
  pass({ $case: 'quantizeWeights', quantizeWeights: optimizer.WeightQuantization.fromPartial(fields) });
export const shareWeights = (clusters: number) =>
  pass({ $case: 'shareWeights', shareWeights: optimizer.WeightSharing.fromPartial({ clusters }) });
const percent = (share: number) => `${Number((100 * share).toPrecision(3))} %`;

export const prune = (sparsity: number): SearchCandidate => ({
  name: `${percent(sparsity)} zeros`,
  passes: [pass({ $case: 'pruneMagnitude', pruneMagnitude: optimizer.MagnitudePruning.fromPartial({ sparsity }) })],
});

// ONNX Runtime's convolutions work on sixteen channels at a time
const roundTo = 16;

/** Channels are removed until so much of the multiply-adds is left. */
export const narrowTo = (multiplyAdds: number): SearchCandidate => ({
  name: multiplyAdds === 0.5 ? 'half the multiply-adds' : `${percent(multiplyAdds)} of the multiply-adds`,
  passes: [
    pass({
      $case: 'pruneStructured',
      pruneStructured: optimizer.StructuredPruning.fromPartial({ multiplyAdds, roundTo }),
    }),
  ],
});

/** As `narrowTo`, and what is left learns from the version's answers. */
export const distillThinned = (multiplyAdds: number): SearchCandidate => ({
  name: `a student with ${percent(multiplyAdds)} of the multiply-adds`,
  passes: [
    pass({
      $case: 'distill',
      distill: optimizer.StudentDistillation.fromPartial({ thinned: { multiplyAdds, roundTo } }),
    }),
  ],
});

export const inEightBits = (calibration: string): SearchCandidate => ({
  name: `int8, ${calibration === 'mse' ? 'least squares' : calibration}`,
  passes: [quantizeStatic(calibration)],
});
const dynamic: SearchCandidate = {
  name: 'int8, dynamic',
  passes: [pass({ $case: 'quantizeDynamic', quantizeDynamic: optimizer.DynamicQuantization.fromPartial({}) })],
};

const fewBits: SearchCandidate = { name: 'int4 weights', passes: [quantizeWeights({ bits: 4 })] };
export const fewBitsHqq: SearchCandidate = {
  name: 'int4 weights, half-quadratic',
  passes: [quantizeWeights({ bits: 4, method: 'hqq' })],
};

const eightBitWeights: SearchCandidate = { name: 'int8 weights', passes: [quantizeWeights({ bits: 8 })] };

/** The form of `inEightBits` whose rounding is trained with. */
export const trainedInEightBits: SearchCandidate = {
  name: 'int8, trained with the rounding',
  passes: [pass({ $case: 'quantizeAware', quantizeAware: optimizer.QuantizationAwareTraining.fromPartial({}) })],
};

/** Weights of −1, 0 and 1, or of −1 and 1. */
export const signs = (values: 'ternary' | 'binary'): SearchCandidate => ({
  name: `${values} weights`,
  passes: [pass({ $case: 'quantizeSigns', quantizeSigns: optimizer.SignQuantization.fromPartial({ values }) })],
});

/** Faster on CPUs that compute in halves. */
const inHalves: SearchCandidate = {
  name: 'halves',
  passes: [pass({ $case: 'computeHalves', computeHalves: optimizer.HalfComputation.fromPartial({}) })],
};
const storedHalves: SearchCandidate = {
  name: 'stored halves',
  passes: [pass({ $case: 'storeHalves', storeHalves: optimizer.HalfStorage.fromPartial({}) })],
};

const stored: readonly SearchCandidate[] = [
  { name: '16 shared weights', passes: [shareWeights(16)] },
  { name: '32 shared weights', passes: [shareWeights(32)] },
  { name: '8 shared weights', passes: [shareWeights(8)] },
];

const pruned = [prune(0.9), prune(0.95)];

const halved = narrowTo(0.5);

const spaces: { readonly [O in PlannedGoal['optimize']]: readonly SearchCandidate[] } = {
  // zeros and shared weights make no answer faster; what is trained comes last
  fastest: [
    inEightBits('minmax'),
    dynamic,
    fewBits,
    eightBitWeights,
    inHalves,
    halved,
    { name: `${halved.name}, int8`, passes: presetPasses('fast') },
  ],
  smallest: [
    ...stored,
    fewBits,
    inEightBits('minmax'),
    dynamic,
    storedHalves,
    ...pruned,
    { name: `${halved.name}, 16 shared weights`, passes: [...halved.passes, shareWeights(16)] },
    { name: 'compact', passes: presetPasses('compact') },
  ],
};

/** What a search tries first. */
export const firstCandidates = (optimize: PlannedGoal['optimize']): readonly SearchCandidate[] => spaces[optimize];

/** No search tries more. The longest name of a training that one asks for ends so. */
export const mostCandidates = 60;
