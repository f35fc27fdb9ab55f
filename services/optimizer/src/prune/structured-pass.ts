import { trainer as contract } from '@modelmill/contracts';
import type { Model } from '@modelmill/onnx';
import * as errors from '../errors.js';
import { range, word } from '../field-checks.js';
import { childSpec, finetuneBatch, finetuned, planFineTuning } from '../finetune.js';
import type { FineTuning } from '../finetune.js';
import { keepModel, openModel } from '../model-files.js';
import type { PassContext } from '../pass-context.js';
import { definePass } from '../pass-kind.js';
import { byBatchNorm, byMagnitude, byTaylor } from './channel-importance.js';
import type { ImportanceMeasure } from './channel-importance.js';
import { pruneByParts } from './prune-by-parts.js';
import type { PruningByParts } from './prune-by-parts.js';

interface StructuredPruning extends FineTuning, PruningByParts {
  readonly importance: keyof typeof importances;
  /** Batches that `taylor` looks at. */
  readonly batches: number;
  readonly parentWeight: number;
}

/** Whole channels and neurons are removed, and the rest is fine-tuned. */
export const structuredPruning = definePass<'pruneStructured', StructuredPruning>({
  kind: 'prune_structured',

  plan({ pruneStructured: message }, at) {
    const { ratio, multiplyAdds, roundTo } = message;
    if ((ratio === 0) === (multiplyAdds === 0)) throw errors.oneAim(at, ratio, multiplyAdds);
    const [field, value] = ratio === 0 ? ['multiply_adds', multiplyAdds] : ['ratio', ratio];
    if (!(value > 0 && value < 1)) throw errors.outOfRange(`${at}.${field}`, value, 'more than 0 and less than 1');
    const importance = word(message.importance || 'magnitude', importanceWords, `${at}.importance`);
    if (message.importanceBatches !== 0 && importance !== 'taylor') {
      throw errors.outOfRange(
        `${at}.importance_batches`,
        message.importanceBatches,
        'it left out: only taylor has any',
      );
    }
    const fineTuning = planFineTuning(message, at);
    return {
      ratio,
      multiplyAdds,
      roundTo: range(roundTo || 1, 1, 1024, `${at}.round_to`),
      importance,
      batches: range(message.importanceBatches || 20, 1, 1_000_000, `${at}.importance_batches`),
      parentWeight: range(message.parentWeight, 0, 1, `${at}.parent_weight`),
      parts: range(message.iterative || 1, 1, Math.min(20, fineTuning.epochs), `${at}.iterative`),
      ...fineTuning,
    };
  },

  async make(parent, settings, context) {
    const { parts, epochs, importance } = settings;
    await context.onProgress('pruning', 0);
    let trained = 0;
    const { model, removed, channels, groups, multiplyAdds } = await pruneByParts(parent, settings, {
      measureOf: (current) => importances[importance].measureOf(current, settings, context),
      recover(cut, part) {
        const own = Math.floor((epochs * (part + 1)) / parts) - trained;
        trained += own;
        return finetuned(cut, { ...settings, epochs: own }, context, settings);
      },
    });
    const [before, after] = multiplyAdds.map((count) => count.toLocaleString('en-US'));
    const share = Number(((100 * removed) / channels).toPrecision(3));
    return {
      model,
      words: `pruned ${share} % of the channels`,
      notes: [
        `${removed} of ${channels} removable channels (in ${groups} ${groups === 1 ? 'group' : 'groups'}) are gone, ` +
          `the least important first${importances[importance].words}: ${before} multiply-adds per example became ${after}. ` +
          (parts === 1
            ? `The rest was fine-tuned for ${epochs} epochs.`
            : `They went in ${parts} parts; after each the rest was fine-tuned, for ${trained} epochs together.`),
      ],
    };
  },
});

/** What makes a channel matter. */
const importances: Readonly<
  Record<
    'magnitude' | 'batch_norm' | 'taylor',
    {
      readonly words: string;
      measureOf(model: Model, settings: { readonly batches: number }, context: PassContext): Promise<ImportanceMeasure>;
    }
  >
> = {
  magnitude: { words: '', measureOf: async () => byMagnitude },
  batch_norm: { words: " by their batch normalizations' scales", measureOf: async () => byBatchNorm },
  taylor: {
    words: ' by what they and their gradients say together',
    measureOf: async (model, { batches }, context) => byTaylor(await importanceSums(model, batches, context)),
  },
};
const importanceWords = ['magnitude', 'batch_norm', 'taylor'] as const;

/** A model with sums of |w · ∂loss/∂w| over training batches in place of its weights, which the trainer finds out. */
async function importanceSums(model: Model, batches: number, context: PassContext): Promise<Model> {
  const { plan, artifacts, examples, train } = context;
  const { sha256 } = await keepModel(artifacts, model);
  const spec = contract.TrainingSpec.fromPartial({
    ...childSpec(plan),
    base: { source: { $case: 'artifactSha256', artifactSha256: sha256 } },
    data: { ...plan.data, normalize: '' }, // the graph has its own
    importance: true,
    steps: BigInt(batches),
    batchSize: Math.min(finetuneBatch, examples.train.length),
  });
  const { artifactSha256 } = await train('weighing channels', spec);
  return openModel(artifacts, artifactSha256);
}
