import { byteLength, densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import * as errors from '../errors.js';
import { range, word } from '../field-checks.js';
import { excludedLayers } from '../layer-names.js';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import type { PassContext } from '../pass-context.js';
import { definePass } from '../pass-kind.js';
import { calibrationOn, watchTensors } from './calibrate.js';
import { quantizeEmbeddings } from './embedding-blocks.js';
import { createHessians } from './hessians.js';
import type { KeepsFloats } from './quantization-plan.js';
import { layersInBlocks, quantizeWeights } from './quantize-weights.js';
import type { Bits } from './weight-blocks.js';

const blockSizes = [16, 32, 64, 128, 256];
/** Those of the fast kernels that ONNX Runtime has for 2 bits: with 16 or 256 a product takes forty times as long as in floats. */
const blockSizesOf2Bits = [32, 64, 128];
const methods = ['nearest', 'hqq', 'gptq'] as const;

interface WeightQuantization {
  readonly bits: Bits;
  readonly block: number;
  readonly method: (typeof methods)[number];
  readonly symmetric: boolean;
  /** Rows that `gptq` looks at. */
  readonly samples: number;
  readonly embeddings: boolean;
  /** Patterns of names of layers that stay as they are. */
  readonly exclude: readonly string[];
}

const inWords = {
  nearest: 'rounded to nearest',
  hqq: 'zero points by half-quadratic quantization',
  gptq: 'each rounding made up for by the weights after it (GPTQ)',
} as const;

/** Constant matrices are kept in few bits with a scale per block. */
export const weightQuantization = definePass<'quantizeWeights', WeightQuantization>({
  kind: 'quantize_weights',
  isLast: true,

  plan({ quantizeWeights }, at) {
    const { bits, blockSize, method, symmetric, calibrationSamples, exclude, embeddings } = quantizeWeights;
    const chosen = bits || 4;
    if (chosen !== 2 && chosen !== 4 && chosen !== 8) throw errors.outOfRange(`${at}.bits`, bits, '2, 4 or 8');
    const block = blockSize || 32;
    const sizes = chosen === 2 ? blockSizesOf2Bits : blockSizes;
    if (!sizes.includes(block)) {
      throw errors.outOfRange(`${at}.block_size`, blockSize, `${sizes.join(', ')} in ${chosen} bits`);
    }
    if (embeddings && chosen !== 4) throw errors.wideEmbeddings(at, chosen);
    const rounded = word(method || 'nearest', methods, `${at}.method`);
    if (rounded === 'hqq' && chosen !== 4) throw errors.wideHqq(at, chosen);
    if (rounded === 'hqq' && symmetric) throw errors.symmetricHqq(at);
    const samples = range(calibrationSamples || 128, 1, 1_000_000, `${at}.calibration_samples`);
    return { bits: chosen, block, method: rounded, symmetric, samples, exclude, embeddings };
  },

  async make(parent, settings, context) {
    const { bits, block, method } = settings;
    const model = densify(parent);
    const onLayer = layerByLayer(context, 'quantizing');
    const all = layersInBlocks(model, settings).map(({ node }) => node);
    const keepsFloats = excludedLayers(settings.exclude, all);
    const chosen = { ...settings, keepsFloats };
    const learned = method === 'gptq' ? { hessianOf: hessiansOf(model, chosen, context) } : {};
    const layers = await quantizeWeights(model, { ...chosen, ...learned, onLayer });
    const tables = settings.embeddings ? quantizeEmbeddings(model, settings) : 0;
    if (layers + tables === 0) {
      throw nothingTo(`quantize: no MatMul or Gemm has a constant matrix of ${block} rows or more`);
    }
    return {
      model,
      words: `quantized weights to int${bits}`,
      notes: [
        `${layers} layers keep their weights in ${bits} bits, ${block} to a scale, ${inWords[method]}.`,
        ...(tables > 0 ? [`${tables} lookups take rows in 4 bits, rounded to nearest.`] : []),
        ...(layers < all.length
          ? [`${all.length - layers} layers stay in floats: ${settings.exclude.join(', ')}.`]
          : []),
      ],
    };
  },
});

/** Half the model's bytes: together with it and its copy within what a job may take. */
function hessiansOf(
  model: Model,
  settings: WeightQuantization & { readonly keepsFloats: KeepsFloats },
  context: PassContext,
) {
  const watching = calibrationOn(model, settings.samples, context);
  const layers = layersInBlocks(model, settings);
  const bytes = layers.reduce((sum, { weights }) => sum + byteLength(weights), 0);
  return createHessians(layers, (tensors, see) => watchTensors(model, tensors, watching, see), bytes / 2);
}
