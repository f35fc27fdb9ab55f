import { densify } from '@modelmill/onnx';
import { word } from '../field-checks.js';
import { excludedLayers } from '../layer-names.js';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { cpus, forCpu, int8Target } from './int8-cpu.js';
import type { Cpu } from './int8-cpu.js';
import { matrixLayers } from './matrix-layers.js';
import { quantizeDynamic } from './quantize-dynamic.js';

/** Products with constant matrices compute in eight bits, activations by the range that each input has. */
export const dynamicQuantization = definePass<
  'quantizeDynamic',
  { readonly cpu: Cpu; readonly exclude: readonly string[] }
>({
  kind: 'quantize_dynamic',
  isLast: true,
  plan: ({ quantizeDynamic: { cpu, exclude } }, at) => ({ cpu: word(cpu || 'here', cpus, `${at}.cpu`), exclude }),

  async make(parent, { cpu, exclude }, context) {
    const model = densify(parent);
    const target = int8Target(cpu);
    const all = matrixLayers(model).map(({ node }) => node);
    const layers = quantizeDynamic(model, {
      reduced: target.reduced,
      keepsFloats: excludedLayers(exclude, all),
      onLayer: layerByLayer(context, 'quantizing'),
    });
    if (layers === 0)
      throw nothingTo('quantize: no MatMul or Gemm has a constant matrix, and convolutions want quantize_static');
    return {
      model,
      words: 'quantized dynamic int8',
      notes: [
        `${layers} layers multiply in int8, their activations by the range that each input has.`,
        forCpu(target),
        ...(layers < all.length ? [`${all.length - layers} layers stay in floats: ${exclude.join(', ')}.`] : []),
      ],
    };
  },
});
