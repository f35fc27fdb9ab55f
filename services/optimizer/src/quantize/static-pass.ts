import { densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { createChannelMeans } from './bias-correction.js';
import { calibrate, calibrationOn, watchTensors } from './calibrate.js';
import type { WatchOptions } from './calibrate.js';
import { equalizeLayers } from './equalize-layers.js';
import { foldBatchNorm } from './fold-batch-norm.js';
import { planCalibration } from './calibration-settings.js';
import type { CalibrationSettings } from './calibration-settings.js';
import { forCpu, int8Target } from './int8-cpu.js';
import type { KeepsFloats } from './quantization-plan.js';
import { word } from '../field-checks.js';
import { excludedLayers, nameLayers } from '../layer-names.js';
import { layerByLayer } from '../layer-progress.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { unitOf } from '../task.js';
import { quantizableLayers, quantizableTensors, quantizeStatic } from './quantize-static.js';
import { raiseOpset } from './raise-opset.js';
import { writeQOperators } from './write-qoperators.js';

const formats = ['qdq', 'qoperator'] as const;

interface StaticQuantization extends CalibrationSettings {
  readonly equalize: boolean;
  readonly correctBiases: boolean;
  readonly format: (typeof formats)[number];
  /** Patterns of names of layers that stay in floats. */
  readonly exclude: readonly string[];
}

/** Convolutions and matrix products compute in eight bits, with ranges from training rows. */
export const staticQuantization = definePass<'quantizeStatic', StaticQuantization>({
  kind: 'quantize_static',
  isLast: true,

  plan: ({ quantizeStatic: { equalize, correctBiases, format, exclude, ...fields } }, at) => ({
    ...planCalibration(fields, at),
    equalize,
    correctBiases,
    format: word(format || 'qdq', formats, `${at}.format`),
    exclude,
  }),

  async make(parent, settings, context) {
    const target = int8Target(settings.cpu);
    const model = densify(parent);
    nameLayers(model);
    const folded = foldBatchNorm(model);
    const equalized = settings.equalize ? equalizeLayers(model) : 0;
    const all = quantizableLayers(model).map(({ node }) => node);
    const keepsFloats = excludedLayers(settings.exclude, all);
    const tensors = quantizableTensors(model, keepsFloats);
    if (tensors.length === 0)
      throw nothingTo(`quantize: no convolution or matrix product ${left(settings.exclude)}has constant weights`);
    raiseOpset(model); // what cannot be is said before the calibration
    const watching = calibrationOn(model, settings.samples, context);
    const ranges = await calibrate(model, tensors, { ...watching, method: settings.calibration });
    const corrected = settings.correctBiases ? { means: await meansOf(model, keepsFloats, watching) } : {};
    const { layers } = quantizeStatic(model, ranges, {
      reduced: target.reduced,
      keepsFloats,
      ...corrected,
      onLayer: layerByLayer(context, 'quantizing'),
    });
    const replaced = settings.format === 'qoperator' ? writeQOperators(model) : 0;
    const notes = [
      `${layers} layers compute in int8, calibrated on ${watching.some.length} training ${unitOf(context.examples.task)} (${settings.calibration}).`,
      forCpu(target),
      ...(layers < all.length ? [`${all.length - layers} layers stay in floats: ${settings.exclude.join(', ')}.`] : []),
      ...(settings.correctBiases ? ['Biases make up for what rounding the weights takes on the average.'] : []),
      ...(settings.equalize ? [`${equalized} pairs of layers were equalized.`] : []),
      ...(replaced > 0 ? [`${replaced} operators are written as integer ones.`] : []),
      ...(folded > 0 ? [`${folded} batch normalizations were folded into the layers before them.`] : []),
    ];
    return { model, words: 'quantized static int8', notes };
  },
});

const left = (exclude: readonly string[]) => (exclude.length > 0 ? 'that is not excluded ' : '');

async function meansOf(model: Model, keepsFloats: KeepsFloats, watching: WatchOptions) {
  const layers = quantizableLayers(model, keepsFloats);
  const means = createChannelMeans(layers);
  const taken = [...new Set(layers.map(({ node }) => node.inputs[0]!))];
  await watchTensors(model, taken, watching, (name, values, _, shape) => means.add(name, values, shape));
  return means.finish();
}
