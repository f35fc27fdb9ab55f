import { calibrationRows } from '@modelmill/data';
import { densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import { createChannelMeans } from './bias-correction.js';
import { calibrate, watchTensors } from './calibrate.js';
import type { WatchOptions } from './calibrate.js';
import { equalizeLayers } from './equalize-layers.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { forCpu, int8Target } from './int8-cpu.js';
import type { PlannedPass } from '../optimization-plan.js';
import type { PassContext, PassResult } from '../pass-context.js';
import { quantizableLayers, quantizableTensors, quantizeStatic } from './quantize-static.js';

type StaticPass = Extract<PlannedPass, { kind: 'quantize_static' }>;

/** Static quantization of a copy of the model. */
export async function makeStatic(parent: Model, pass: StaticPass, context: PassContext): Promise<PassResult> {
  const target = int8Target(pass.cpu);
  const { plan, examples, signal, onProgress } = context;
  const model = densify(parent);
  const folded = foldBatchNorm(model);
  const equalized = pass.equalize ? equalizeLayers(model) : 0;
  const tensors = quantizableTensors(model);
  if (tensors.length === 0) {
    throw new JobFailedError('there is nothing to quantize: no convolution or matrix product has constant weights');
  }
  const rows = calibrationRows(examples.train, pass.samples, plan.seed);
  const watching = {
    classifier: context.classifierOf(model),
    table: examples.table,
    rows,
    signal,
    onProgress: (done: number) => onProgress('calibrating', done),
  };
  const ranges = await calibrate(model, tensors, { ...watching, method: pass.calibration });
  const corrected = pass.correctBiases ? { means: await meansOf(model, watching) } : {};
  const { layers } = quantizeStatic(model, ranges, { reduced: target.reduced, ...corrected });
  const notes = [
    `${layers} layers compute in int8, calibrated on ${rows.length} training rows (${pass.calibration}).`,
    forCpu(target),
    ...(pass.correctBiases ? ['Biases make up for what rounding the weights takes on the average.'] : []),
    ...(pass.equalize ? [`${equalized} pairs of layers were equalized.`] : []),
    ...(folded > 0 ? [`${folded} batch normalizations were folded into the layers before them.`] : []),
  ];
  return { model, words: 'quantized static int8', notes };
}

async function meansOf(model: Model, watching: WatchOptions) {
  const layers = quantizableLayers(model);
  const means = createChannelMeans(layers);
  const taken = [...new Set(layers.map(({ node }) => node.inputs[0]!))];
  await watchTensors(model, taken, watching, (name, values, _, shape) => means.add(name, values, shape));
  return means.finish();
}
