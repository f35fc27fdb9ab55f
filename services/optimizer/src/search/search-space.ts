import { optimizer } from '@modelmill/contracts';
import type { PlannedGoal } from './goal.js';

/** Passes that a search tries, in the order it tries them: what takes little time comes first. */
export interface SearchCandidate {
  readonly name: string;
  readonly passes: readonly optimizer.Pass[];
}

const pass = (kind: NonNullable<optimizer.Pass['kind']>) => optimizer.Pass.fromPartial({ kind });
const quantizeStatic = (calibration: string) =>
  pass({ $case: 'quantizeStatic', quantizeStatic: optimizer.StaticQuantization.fromPartial({ calibration }) });
const quantizeWeights = (fields: Partial<optimizer.WeightQuantization>) =>
  pass({ $case: 'quantizeWeights', quantizeWeights: optimizer.WeightQuantization.fromPartial(fields) });
const shareWeights = (clusters: number) =>
  pass({ $case: 'shareWeights', shareWeights: optimizer.WeightSharing.fromPartial({ clusters }) });
const prune = (sparsity: number) =>
  pass({ $case: 'pruneMagnitude', pruneMagnitude: optimizer.MagnitudePruning.fromPartial({ sparsity }) });

const inEightBits: readonly SearchCandidate[] = [
  { name: 'int8, minmax', passes: [quantizeStatic('minmax')] },
  {
    name: 'int8, dynamic',
    passes: [pass({ $case: 'quantizeDynamic', quantizeDynamic: optimizer.DynamicQuantization.fromPartial({}) })],
  },
  { name: 'int8, percentile', passes: [quantizeStatic('percentile')] },
  { name: 'int8, entropy', passes: [quantizeStatic('entropy')] },
  { name: 'int8, least squares', passes: [quantizeStatic('mse')] },
];

const inFewBits: readonly SearchCandidate[] = [
  { name: 'int4 weights', passes: [quantizeWeights({ bits: 4 })] },
  { name: 'int4 weights, half-quadratic', passes: [quantizeWeights({ bits: 4, method: 'hqq' })] },
];

const stored: readonly SearchCandidate[] = [
  { name: '16 shared weights', passes: [shareWeights(16)] },
  { name: '32 shared weights', passes: [shareWeights(32)] },
  { name: '8 shared weights', passes: [shareWeights(8)] },
];

const pruned: readonly SearchCandidate[] = [
  { name: '90 % zeros', passes: [prune(0.9)] },
  { name: '95 % zeros', passes: [prune(0.95)] },
];

// ONNX Runtime's convolutions work on sixteen channels at a time
const halved = pass({
  $case: 'pruneStructured',
  pruneStructured: optimizer.StructuredPruning.fromPartial({ multiplyAdds: 0.5, roundTo: 16 }),
});
const narrowed: readonly SearchCandidate[] = [
  { name: 'half the multiply-adds', passes: [halved] },
  { name: 'half the multiply-adds, int8', passes: [halved, quantizeStatic('minmax')] },
];

const spaces: { readonly [O in PlannedGoal['optimize']]: readonly SearchCandidate[] } = {
  // zeros and shared weights make no answer faster
  fastest: [...inEightBits, ...inFewBits, ...narrowed],
  smallest: [
    ...stored,
    ...inFewBits,
    ...inEightBits.slice(0, 2),
    ...pruned,
    { name: 'half the multiply-adds, 16 shared weights', passes: [halved, shareWeights(16)] },
  ],
};

export const candidatesFor = (optimize: PlannedGoal['optimize']): readonly SearchCandidate[] => spaces[optimize];

/** The longest name of a training that a search asks for ends so. */
export const mostCandidates = Math.max(...Object.values(spaces).map(({ length }) => length));
