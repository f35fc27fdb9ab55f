import { densify } from '@modelmill/onnx';
import { range, word } from '../field-checks.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { clusterStarts } from './cluster.js';
import type { ClusterStart } from './cluster.js';
import { shareWeights } from './share-weights.js';
import { storageOnly } from './storage-only.js';

interface WeightSharing {
  readonly clusters: number;
  readonly start: ClusterStart;
}

/** Each kernel and matrix becomes indices into a codebook of its own. */
export const weightSharing = definePass<'shareWeights', WeightSharing>({
  kind: 'share_weights',
  isLast: true,

  plan: ({ shareWeights: { clusters, start } }, at) => ({
    clusters: range(clusters || 16, 2, 256, `${at}.clusters`),
    start: word(start || 'density', clusterStarts, `${at}.start`),
  }),

  async make(parent, settings, { signal, onProgress }) {
    const model = densify(parent);
    const onLayer = async (done: number) => {
      signal.throwIfAborted();
      await onProgress('clustering', done);
    };
    const layers = await shareWeights(model, { ...settings, onLayer });
    if (layers === 0) throw nothingTo('share: no convolution or matrix product has 64 weights or more');
    const { clusters } = settings;
    return {
      model,
      words: `shared weights of ${clusters} values`,
      notes: [`${layers} layers look their weights up in codebooks of at most ${clusters} values. ${storageOnly}`],
    };
  },
});
