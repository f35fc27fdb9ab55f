import { densify } from '@modelmill/onnx';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { storageOnly } from './storage-only.js';
import { storeBytes } from './store-bytes.js';

/** Matrices and kernels are stored as 8-bit integers. */
export const byteStorage = definePass<'storeBytes', object>({
  kind: 'store_bytes',
  isLast: true,
  plan: () => ({}),

  async make(parent, _settings, context) {
    const model = densify(parent);
    const constants = storeBytes(model, layerByLayer(context, 'rounding'));
    if (constants === 0) throw nothingTo('store in bytes: no matrix or kernel has 256 weights or more');
    return {
      model,
      words: 'stored bytes',
      notes: [`${constants} matrices and kernels are stored as 8-bit integers. ${storageOnly}`],
    };
  },
});
