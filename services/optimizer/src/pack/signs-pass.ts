import { densify } from '@modelmill/onnx';
import { word } from '../field-checks.js';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { quantizeSigns } from './quantize-signs.js';
import { signValues } from './signs.js';
import type { SignValues } from './signs.js';
import { storageOnly } from './storage-only.js';

const forms = ['tables', 'blocks'] as const;

interface SignQuantization {
  readonly values: SignValues;
  readonly form: (typeof forms)[number];
  readonly allLayers: boolean;
}

/** Weights become −1, 0 or 1 times a scale per output channel. */
export const signQuantization = definePass<'quantizeSigns', SignQuantization>({
  kind: 'quantize_signs',
  isLast: true,

  plan: ({ quantizeSigns: { values, form, allLayers } }, at) => ({
    values: word(values || 'ternary', signValues, `${at}.values`),
    form: word(form || 'tables', forms, `${at}.form`),
    allLayers,
  }),

  async make(parent, { values, form, allLayers }, context) {
    const model = densify(parent);
    const onLayer = layerByLayer(context, 'quantizing');
    const written = await quantizeSigns(model, { values, allLayers, blocks: form === 'blocks', onLayer });
    if (written.tables + written.blocks === 0) {
      const where = allLayers ? '' : ' between the first and the last layer, which stay unless all_layers is set';
      throw nothingTo(`quantize: no convolution or matrix product has 64 weights or more${where}`);
    }
    const bits = values === 'ternary' ? '1.6 bits' : '1 bit';
    return {
      model,
      words: `quantized ${values} weights`,
      notes: [
        ...(written.tables > 0
          ? [`${written.tables} kernels and matrices are stored in ${bits} a weight. ${storageOnly}`]
          : []),
        ...(written.blocks > 0 ? [`${written.blocks} matrix products compute with weights of 2 bits.`] : []),
        ...(allLayers ? [] : ['The first and the last layer are as they were.']),
      ],
    };
  },
});
