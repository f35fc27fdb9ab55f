import { calibrationRows } from '@modelmill/data';
import { densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import * as errors from '../errors.js';
import { range, word } from '../field-checks.js';
import { nothingTo } from '../nothing-to.js';
import type { PassContext } from '../pass-context.js';
import { definePass } from '../pass-kind.js';
import { watchTensors } from './calibrate.js';
import { createHessians } from './hessians.js';
import { layersInBlocks, quantizeWeights } from './quantize-weights.js';

const blockSizes = [16, 32, 64, 128, 256];
const methods = ['nearest', 'hqq', 'gptq'] as const;

interface WeightQuantization {
  readonly bits: 4 | 8;
  readonly block: number;
  readonly method: (typeof methods)[number];
  readonly symmetric: boolean;
  /** Rows that `gptq` looks at. */
  readonly samples: number;
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
    const { bits, blockSize, method, symmetric, calibrationSamples } = quantizeWeights;
    const chosen = bits || 4;
    if (chosen !== 4 && chosen !== 8) throw errors.outOfRange(`${at}.bits`, bits, '4 or 8');
    const block = blockSize || 32;
    if (!blockSizes.includes(block)) throw errors.outOfRange(`${at}.block_size`, blockSize, blockSizes.join(', '));
    const rounded = word(method || 'nearest', methods, `${at}.method`);
    if (rounded === 'hqq' && chosen !== 4) throw errors.wideHqq(at, chosen);
    if (rounded === 'hqq' && symmetric) throw errors.symmetricHqq(at);
    const samples = range(calibrationSamples || 128, 1, 1_000_000, `${at}.calibration_samples`);
    return { bits: chosen, block, method: rounded, symmetric, samples };
  },

  async make(parent, settings, context) {
    const { bits, block, method } = settings;
    const model = densify(parent);
    const onLayer = async (done: number) => {
      context.signal.throwIfAborted();
      await context.onProgress('quantizing', done);
    };
    const learned = method === 'gptq' ? { hessianOf: hessiansOf(model, settings, context) } : {};
    const layers = await quantizeWeights(model, { ...settings, ...learned, onLayer });
    if (layers === 0) throw nothingTo(`quantize: no MatMul or Gemm has a constant matrix of ${block} rows or more`);
    return {
      model,
      words: `quantized weights to int${bits}`,
      notes: [`${layers} layers keep their weights in ${bits} bits, ${block} to a scale, ${inWords[method]}.`],
    };
  },
});

/** Half the model's bytes: together with it and its copy within what a job may take. */
function hessiansOf(model: Model, settings: WeightQuantization, { examples, plan, ...context }: PassContext) {
  const watching = {
    classifier: context.classifierOf(model),
    table: examples.table,
    rows: calibrationRows(examples.train, settings.samples, plan.seed),
    signal: context.signal,
    onProgress: (done: number) => context.onProgress('calibrating', done),
  };
  const layers = layersInBlocks(model, settings);
  const bytes = layers.reduce((sum, { weights }) => sum + weights.bytes.byteLength, 0);
  return createHessians(layers, (tensors, see) => watchTensors(model, tensors, watching, see), bytes / 2);
}
