import { calibrationRows } from '@modelmill/data';
import { densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import { watchTensors } from '../quantize/calibrate.js';
import { createHessians } from '../quantize/hessians.js';
import { forCpu, int8Target } from '../quantize/int8-cpu.js';
import type { PlannedPass } from '../optimization-plan.js';
import type { PassContext, PassResult } from '../pass-context.js';
import { quantizeDynamic } from '../quantize/quantize-dynamic.js';
import { layersInBlocks, quantizeWeights } from '../quantize/quantize-weights.js';
import { shareWeights, storeHalves } from './share-weights.js';
import { storeBytes } from './store-bytes.js';

type Of<K extends PlannedPass['kind']> = Extract<PlannedPass, { kind: K }>;

const storageOnly = 'Storage only: the file is smaller; memory and time of answers stay as they were.';

const roundings = {
  nearest: 'rounded to nearest',
  hqq: 'zero points by half-quadratic quantization',
  gptq: 'each rounding made up for by the weights after it (GPTQ)',
} as const;

/** Passes that write weights in fewer bits. */
export const smallForms = {
  async quantize_dynamic(parent: Model, pass: Of<'quantize_dynamic'>): Promise<PassResult> {
    const model = densify(parent);
    const target = int8Target(pass.cpu);
    const layers = quantizeDynamic(model, target.reduced);
    if (layers === 0)
      throw nothingTo('quantize: no MatMul or Gemm has a constant matrix, and convolutions want quantize_static');
    return {
      model,
      words: 'quantized dynamic int8',
      notes: [`${layers} layers multiply in int8, their activations by the range that each input has.`, forCpu(target)],
    };
  },

  async quantize_weights(parent: Model, pass: Of<'quantize_weights'>, context: PassContext): Promise<PassResult> {
    const model = densify(parent);
    const onLayer = (done: number) => step(context, 'quantizing', done);
    const learned = pass.method === 'gptq' ? { hessianOf: hessiansOf(model, pass, context) } : {};
    const layers = await quantizeWeights(model, { ...pass, ...learned, onLayer });
    if (layers === 0)
      throw nothingTo(`quantize: no MatMul or Gemm has a constant matrix of ${pass.block} rows or more`);
    return {
      model,
      words: `quantized weights to int${pass.bits}`,
      notes: [
        `${layers} layers keep their weights in ${pass.bits} bits, ${pass.block} to a scale, ${roundings[pass.method]}.`,
      ],
    };
  },

  async share_weights(parent: Model, pass: Of<'share_weights'>, context: PassContext): Promise<PassResult> {
    const model = densify(parent);
    const onLayer = (done: number) => step(context, 'clustering', done);
    const layers = await shareWeights(model, { ...pass, onLayer });
    if (layers === 0) throw nothingTo('share: no convolution or matrix product has 64 weights or more');
    return {
      model,
      words: `shared weights of ${pass.clusters} values`,
      notes: [`${layers} layers look their weights up in codebooks of at most ${pass.clusters} values. ${storageOnly}`],
    };
  },

  async store_bytes(parent: Model): Promise<PassResult> {
    const model = densify(parent);
    const constants = storeBytes(model);
    if (constants === 0) throw nothingTo('store in bytes: no matrix or kernel has 256 weights or more');
    return {
      model,
      words: 'stored bytes',
      notes: [`${constants} matrices and kernels are stored as 8-bit integers. ${storageOnly}`],
    };
  },

  async store_halves(parent: Model): Promise<PassResult> {
    const model = densify(parent);
    const constants = storeHalves(model);
    if (constants === 0) throw nothingTo('store in halves: no constant has 64 floats or more');
    return {
      model,
      words: 'stored halves',
      notes: [`${constants} constants are stored as 16-bit floats. ${storageOnly}`],
    };
  },
};

/** Half the model's bytes: together with it and its copy within what a job may take. */
function hessiansOf(model: Model, pass: Of<'quantize_weights'>, { examples, plan, ...context }: PassContext) {
  const watching = {
    classifier: context.classifierOf(model),
    table: examples.table,
    rows: calibrationRows(examples.train, pass.samples, plan.seed),
    signal: context.signal,
    onProgress: (done: number) => context.onProgress('calibrating', done),
  };
  const layers = layersInBlocks(model, pass);
  const bytes = layers.reduce((sum, { weights }) => sum + weights.bytes.byteLength, 0);
  return createHessians(layers, (tensors, see) => watchTensors(model, tensors, watching, see), bytes / 2);
}

async function step({ signal, onProgress }: PassContext, stage: string, done: number): Promise<void> {
  signal.throwIfAborted();
  await onProgress(stage, done);
}

const nothingTo = (what: string) => new JobFailedError(`there is nothing to ${what}`);
