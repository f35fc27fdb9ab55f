import { optimizer } from '@modelmill/contracts';
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

const stored: readonly SearchCandidate[] = [
  { name: '16 shared weights', passes: [shareWeights(16)] },
  { name: '32 shared weights', passes: [shareWeights(32)] },
  { name: '8 shared weights', passes: [shareWeights(8)] },
];

const pruned = [prune(0.9), prune(0.95)];

const halved = narrowTo(0.5);

const spaces: { readonly [O in PlannedGoal['optimize']]: readonly SearchCandidate[] } = {
  // zeros and shared weights make no answer faster
  fastest: [
    inEightBits('minmax'),
    halved,
    { name: `${halved.name}, int8`, passes: [...halved.passes, quantizeStatic('minmax')] },
    dynamic,
    fewBits,
  ],
  smallest: [
    ...stored,
    fewBits,
    inEightBits('minmax'),
    dynamic,
    ...pruned,
    { name: `${halved.name}, 16 shared weights`, passes: [...halved.passes, shareWeights(16)] },
  ],
};

/** What a search tries first. */
export const firstCandidates = (optimize: PlannedGoal['optimize']): readonly SearchCandidate[] => spaces[optimize];

/** No search tries more. The longest name of a training that one asks for ends so. */
export const mostCandidates = 60;
