import { calibrationRows } from '@modelmill/data';
import { densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import { calibrate } from './calibrate.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { forCpu, int8Target } from './int8-cpu.js';
import type { PlannedPass } from './optimization-plan.js';
import type { PassContext, PassResult } from './pass-context.js';
import { quantizableTensors, quantizeStatic } from './quantize-static.js';

type StaticPass = Extract<PlannedPass, { kind: 'quantize_static' }>;

/** Static quantization of a copy of the model. */
export async function makeStatic(parent: Model, pass: StaticPass, context: PassContext): Promise<PassResult> {
  const target = int8Target(pass.cpu);
  const { plan, examples, signal, onProgress } = context;
  const model = densify(parent);
  const folded = foldBatchNorm(model);
  const tensors = quantizableTensors(model);
  if (tensors.length === 0) {
    throw new JobFailedError('there is nothing to quantize: no convolution or matrix product has constant weights');
  }
  const rows = calibrationRows(examples.train, pass.samples, plan.seed);
  const ranges = await calibrate(model, tensors, {
    classifier: context.classifierOf(model),
    table: examples.table,
    rows,
    method: pass.calibration,
    signal,
    onProgress: (done) => onProgress('calibrating', done),
  });
  const { layers } = quantizeStatic(model, ranges, target.reduced);
  const notes = [
    `${layers} layers compute in int8, calibrated on ${rows.length} training rows (${pass.calibration}).`,
    forCpu(target),
    ...(folded > 0 ? [`${folded} batch normalizations were folded into the layers before them.`] : []),
  ];
  return { model, words: 'quantized static int8', notes };
}
