import { optimizer } from '@modelmill/contracts';
import * as errors from './errors.js';
import { word } from './field-checks.js';

type Kind = NonNullable<optimizer.Pass['kind']>;

const structured = (fields: Partial<optimizer.StructuredPruning>): Kind => ({
  $case: 'pruneStructured',
  pruneStructured: optimizer.StructuredPruning.fromPartial(fields),
});

/** Lists of passes that have a name. */
const presets = {
  /** The smallest file: about a third of the weights, four bits each. */
  compact: [
    structured({ multiplyAdds: 0.3 }),
    {
      $case: 'shareWeights',
      shareWeights: optimizer.WeightSharing.fromPartial({ clusters: 16, finetuneEpochs: 5 }),
    },
  ],
  /** The fastest answers: half the multiply-adds, in integers. ONNX Runtime works on sixteen channels at a time. */
  fast: [
    structured({ multiplyAdds: 0.5, roundTo: 16 }),
    { $case: 'quantizeStatic', quantizeStatic: optimizer.StaticQuantization.fromPartial({}) },
  ],
} as const satisfies Record<string, readonly Kind[]>;

const presetNames = Object.keys(presets) as (keyof typeof presets)[];

/** The passes that a spec lists, or that its preset stands for; throws an RpcError naming the field. */
export function passesOf({ passes, preset }: optimizer.OptimizationSpec): readonly optimizer.Pass[] {
  if (preset === '') return passes;
  if (passes.length > 0) throw errors.presetAndOthers('passes');
  return presetPasses(word(preset, presetNames, 'preset'));
}

/** What a preset stands for. */
export const presetPasses = (preset: keyof typeof presets): optimizer.Pass[] =>
  presets[preset].map((kind) => optimizer.Pass.fromPartial({ kind }));
