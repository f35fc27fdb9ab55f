import { densify } from '@modelmill/onnx';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { storeHalves } from './share-weights.js';
import { storageOnly } from './storage-only.js';

/** Float constants are stored as 16-bit floats. */
export const halfStorage = definePass<'storeHalves', object>({
  kind: 'store_halves',
  isLast: true,
  plan: () => ({}),

  async make(parent, _settings, context) {
    const model = densify(parent);
    const constants = storeHalves(model, layerByLayer(context, 'rounding'));
    if (constants === 0) throw nothingTo('store in halves: no constant has 64 floats or more');
    return {
      model,
      words: 'stored halves',
      notes: [`${constants} constants are stored as 16-bit floats. ${storageOnly}`],
    };
  },
});
