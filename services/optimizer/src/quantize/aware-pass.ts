import { densify } from '@modelmill/onnx';
import { range } from '../field-checks.js';
import { finetuned, planFineTuning } from '../finetune.js';
import type { FineTuning } from '../finetune.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { unitOf } from '../task.js';
import { bakeIntegers } from './bake-integers.js';
import { calibrate, calibrationOn } from './calibrate.js';
import { planCalibration } from './calibration-settings.js';
import type { CalibrationSettings } from './calibration-settings.js';
import { fakeQuantize } from './fake-quantize.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { forCpu, int8Target } from './int8-cpu.js';
import { quantizableTensors } from './quantize-static.js';

interface AwareQuantization extends CalibrationSettings, FineTuning {
  readonly bits: number;
}

/** Static quantization whose rounding the weights were trained with. */
export const awareQuantization = definePass<'quantizeAware', AwareQuantization>({
  kind: 'quantize_aware',
  isLast: true,

  plan: ({ quantizeAware: { bits, ...fields } }, at) => ({
    bits: range(bits || 8, 2, 8, `${at}.bits`),
    ...planCalibration(fields, at),
    ...planFineTuning(fields, at),
  }),

  async make(parent, settings, context) {
    const { bits, epochs, calibration } = settings;
    const target = int8Target(settings.cpu);
    const model = densify(parent);
    const folded = foldBatchNorm(model);
    const tensors = quantizableTensors(model);
    if (tensors.length === 0) throw nothingTo('quantize: no convolution or matrix product has constant weights');
    const watching = calibrationOn(model, settings.samples, context);
    const ranges = await calibrate(model, tensors, { ...watching, method: calibration });
    const rounded = fakeQuantize(model, ranges, { bits, reduced: target.reduced });
    const trained = await finetuned(model, settings, context, { keepZeros: true });
    bakeIntegers(trained, rounded);
    const notes = [
      `${rounded.length} matrices and kernels were trained for ${epochs} epochs with their rounding to ${bits} bits, and ` +
        `that of activations to 8, calibrated on ${watching.some.length} training ${unitOf(context.examples.task)} (${calibration}).`,
      forCpu(target),
      ...(folded > 0 ? [`${folded} batch normalizations were folded into the layers before them.`] : []),
    ];
    return { model: trained, words: `trained and quantized to int${bits}`, notes };
  },
});
