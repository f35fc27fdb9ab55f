import { densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { range, word } from '../field-checks.js';
import { finetuned } from '../finetune.js';
import type { FineTuning } from '../finetune.js';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import type { PassContext } from '../pass-context.js';
import { definePass } from '../pass-kind.js';
import { clusterStarts } from './cluster.js';
import type { ClusterStart } from './cluster.js';
import { takeTrained, writeTrainable } from './codebooks.js';
import type { Codebook } from './codebooks.js';
import { findCodebooks, storeCodebooks } from './share-weights.js';
import { storageOnly } from './storage-only.js';

interface WeightSharing extends FineTuning {
  readonly clusters: number;
  readonly start: ClusterStart;
}

/** Each kernel and matrix becomes indices into a codebook of its own. */
export const weightSharing = definePass<'shareWeights', WeightSharing>({
  kind: 'share_weights',
  isLast: true,

  plan: ({ shareWeights: { clusters, start, finetuneEpochs, finetuneLearningRate } }, at) => ({
    clusters: range(clusters || 16, 2, 256, `${at}.clusters`),
    start: word(start || 'density', clusterStarts, `${at}.start`),
    epochs: range(finetuneEpochs, 0, 100_000, `${at}.finetune_epochs`),
    learningRate: range(finetuneLearningRate || 0.0005, 0, 1000, `${at}.finetune_learning_rate`),
  }),

  async make(parent, settings, context) {
    const { clusters, epochs } = settings;
    const model = densify(parent);
    const onLayer = layerByLayer(context, 'clustering');
    const codebooks = await findCodebooks(model, { ...settings, seed: context.plan.seed, onLayer });
    if (codebooks.length === 0) throw nothingTo('share: no convolution or matrix product has 64 weights or more');
    const shared = epochs === 0 ? { model, codebooks } : await trained(model, codebooks, settings, context);
    storeCodebooks(shared.model, shared.codebooks, clusters);
    return {
      model: shared.model,
      words: `shared weights of ${clusters} values`,
      notes: [
        `${codebooks.length} layers look their weights up in codebooks of at most ${clusters} values. ${storageOnly}`,
        ...(epochs > 0
          ? [`The values were trained for ${epochs} epochs, each by the gradients of all its weights.`]
          : []),
      ],
    };
  },
});

async function trained(model: Model, codebooks: readonly Codebook[], settings: WeightSharing, context: PassContext) {
  const names = writeTrainable(model, codebooks);
  const learned = await finetuned(model, settings, context, { keepZeros: true });
  return { model: learned, codebooks: takeTrained(learned, codebooks, names) };
}
