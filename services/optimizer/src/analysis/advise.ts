import type { recipes } from '@modelmill/contracts';
import type { GateMetric } from '../gate.js';
import { fineTuningAdvice } from './fine-tuning-advice.js';
import type { FormFigures, LayerFigures, Measured, ModelFormFigures } from './measure-forms.js';

/** What advice stands on beside what was measured. */
export interface AboutModel {
  /** Of the file. */
  readonly sizeBytes: number;
  /** Weights of each layer, by its name. */
  readonly parameters: ReadonlyMap<string, number>;
  /** How it was trained, where that is known. */
  readonly optimizer: recipes.TrainingOptimizer | undefined;
}

/** What is lost of the metric is worth what compression brings, up to here. */
const littleDrop = 0.01;
const worthwhile = 1.1;

/** Advice in plain words with the figures it rests on, the most useful first. */
export function advise(measured: Measured, about: AboutModel): string[] {
  return [
    ...quantizationAdvice(measured, about),
    ...floatsAdvice(measured),
    ...timeAdvice(measured),
    ...zerosAdvice(measured, about),
    ...fineTuningAdvice(about.optimizer, measured.weightSize),
    ...(measured.unmeasured > 0
      ? [
          `There was no time for ${measured.unmeasured} forms of single layers: a larger time budget measures them, too.`,
        ]
      : []),
  ];
}

const passOf: Readonly<Record<string, string>> = {
  int8: 'quantize_static',
  int8_dynamic: 'quantize_dynamic',
  int4: 'quantize_weights (4 bits)',
};

function quantizationAdvice({ forms, floats, rows, cpu, metric }: Measured, { sizeBytes }: AboutModel): string[] {
  const tried = forms.filter(({ form }) => passOf[form] !== undefined);
  if (tried.length === 0) return ['No layer can be quantized: no convolution or matrix product has constant weights.'];
  const figures = (form: ModelFormFigures) =>
    `${ms(form.p50Ms)} instead of ${ms(floats.p50Ms)} an example, ${kibibytes(form.sizeBytes)} instead of ` +
    `${kibibytes(sizeBytes)}, ${become(metric, form)}, SQNR ${decibels(form.sqnrDb)}`;
  const gain = (form: ModelFormFigures) => floats.p50Ms / form.p50Ms;
  const harmless = tried.filter(({ drop }) => drop <= littleDrop);
  const fast = harmless.filter((form) => gain(form) >= worthwhile).sort((a, b) => gain(b) - gain(a))[0];
  const small = [...harmless].sort((a, b) => a.sizeBytes - b.sizeBytes)[0];
  const on = `on ${rows} training examples, one thread of ${cpu}`;
  const others = (best: ModelFormFigures | undefined) =>
    tried.filter((form) => form !== best).map((form) => `${passOf[form.form]}: ${figures(form)}.`);
  if (fast) {
    return [
      `Use ${passOf[fast.form]}, the fastest of ${tried.length} ways to quantize: ${figures(fast)} (${on}).`,
      ...others(fast),
    ];
  }
  if (small && small.sizeBytes < sizeBytes / worthwhile) {
    return [
      `Use ${passOf[small.form]} for its size alone; no way to quantize makes answers ${worthwhile} times faster here: ` +
        `${figures(small)} (${on}).`,
      ...others(small),
    ];
  }
  return [`Every way to quantize costs more than a point or brings nothing (${on}).`, ...others(undefined)];
}

/** Which layers static quantization should leave in floats. */
function floatsAdvice({ layers, forms, rows, metric }: Measured): string[] {
  const known = layers.flatMap((layer) => {
    const form = layer.forms.find((one) => one.form === 'int8');
    return form ? [{ ...layer, form }] : [];
  });
  if (known.length === 0) return [];
  const ranked = [...known].sort((a, b) => a.form.sqnrDb - b.form.sqnrDb);
  const costly = ranked.filter(({ form }) => form.drop >= Math.max(littleDrop / 2, 2 / rows));
  const slower = known.filter(({ floatMs, int8Ms }) => int8Ms > 1.1 * floatMs && int8Ms > 0.002);
  const advice: string[] = [];
  if (costly.length > 0) {
    advice.push(
      `Leave ${listed(costly)} in floats (exclude): alone in int8 ${costly.length === 1 ? 'it costs' : 'they cost'} ${metric} ` +
        `${costly.map(({ form }) => `${percent(form.drop)} (SQNR ${decibels(form.sqnrDb)})`).join(', ')}.`,
    );
  } else {
    const [worst] = ranked;
    const whole = forms.find(({ form }) => form === 'int8');
    advice.push(
      `Every layer may be in int8: with the most sensitive alone, ${worst!.name}, ${become(metric, worst!.form)} ` +
        `(SQNR ${decibels(worst!.form.sqnrDb)})` +
        (whole && whole.drop > littleDrop
          ? `; together they cost ${percent(whole.drop)}: exclude the most sensitive first, in this order: ` +
            `${ranked
              .slice(0, 3)
              .map(({ name }) => name)
              .join(', ')}.`
          : '.'),
    );
  }
  if (slower.length > 1 && slower.length === known.length) {
    const [floats, integers] = [sum(known.map(({ floatMs }) => floatMs)), sum(known.map(({ int8Ms }) => int8Ms))];
    advice.push(
      `No layer is faster in int8: all together take ${ms(integers)} against ${ms(floats)} in floats. Layers as small as ` +
        'these spend more on changing the form of numbers than on products.',
    );
  } else if (slower.length > 0) {
    advice.push(
      `${listed(slower)} ${slower.length === 1 ? 'is' : 'are'} slower in int8 than in floats ` +
        `(${slower.map(({ floatMs, int8Ms }) => `${ms(int8Ms)} against ${ms(floatMs)}`).join(', ')}): exclude to be faster.`,
    );
  }
  return advice;
}

/** Where the time is, and what makes less of it. */
function timeAdvice({ layers, floats }: Measured): string[] {
  const inLayers = sum(layers.map(({ floatMs }) => floatMs));
  if (floats.kernelsMs === 0 || layers.length === 0) return [];
  const slowest = [...layers].sort((a, b) => b.floatMs - a.floatMs)[0]!;
  const share = inLayers / floats.kernelsMs;
  const where =
    `${percent(share)} of the ${ms(floats.kernelsMs)} in kernels are convolutions and matrix products; ` +
    `${slowest.name} alone has ${percent(slowest.floatMs / floats.kernelsMs)}`;
  if (share >= 0.5) {
    return [
      `${where}: prune_structured makes the layers narrower, and so each of them faster, in floats and in int8; ` +
        'distill does so where a network of another shape will do.',
    ];
  }
  return [
    `${where}: narrower layers save little; fewer and simpler ones do, by distill into a student with less between its ` +
      'products.',
  ];
}

function zerosAdvice({ layers, forms, metric }: Measured, { parameters, sizeBytes }: AboutModel): string[] {
  const of = (layer: LayerFigures, form: string): FormFigures | undefined =>
    layer.forms.find((one) => one.form === form);
  const withMost = layers.filter((layer) => of(layer, 'zeros_90'));
  if (withMost.length === 0) return [];
  const weights = (some: readonly LayerFigures[]) => sum(some.map(({ name }) => parameters.get(name) ?? 0));
  const tough = withMost.filter((layer) => of(layer, 'zeros_90')!.drop <= littleDrop);
  const tender = withMost.filter((layer) => (of(layer, 'zeros_50')?.drop ?? 0) > littleDrop);
  const share = weights(tough) / weights(withMost);
  const together = forms.find(({ form }) => form === (share >= 0.5 ? 'zeros_90' : 'zeros_50'));
  const zeros = share >= 0.5 ? 0.9 : 0.5;
  return [
    `prune_magnitude to ${percent(zeros)} zeros saves bytes, not time: ` +
      (tough.length === 0
        ? 'no layer spares 90 % of its weights without fine-tuning'
        : `layers with ${percent(share)} of the weights (${listed(tough)}) lose at most a point each with 90 % zeros`) +
      (together
        ? `; with ${percent(zeros)} zeros everywhere and no fine-tuning ${become(metric, together)} and ` +
          `${kibibytes(sizeBytes)} become ${kibibytes(together.sizeBytes)}`
        : '') +
      '.',
    ...(tender.length > 0
      ? [
          `${listed(tender)} cannot spare even half of ${tender.length === 1 ? 'its' : 'their'} weights without fine-tuning.`,
        ]
      : []),
  ];
}

const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);

/** What becomes of the metric, such as `accuracy falls by 0.40 points`. */
function become(metric: GateMetric, { drop }: FormFigures): string {
  const text = (100 * Math.abs(drop)).toFixed(2);
  if (text === '0.00') return `${metric} stays the same`;
  const falls = metric === 'perplexity' ? drop < 0 : drop > 0;
  return `${metric} ${falls ? 'falls' : 'rises'} by ${text} ${metric === 'perplexity' ? '%' : 'points'}`;
}

const listed = (layers: readonly { readonly name: string }[]) =>
  layers.length > 4
    ? `${layers
        .slice(0, 4)
        .map(({ name }) => name)
        .join(', ')} and ${layers.length - 4} more`
    : layers.map(({ name }) => name).join(', ');

const ms = (value: number) => `${value.toPrecision(3)} ms`;
const decibels = (value: number) => `${value.toFixed(1)} dB`;
const percent = (share: number) => `${(100 * share).toFixed(share !== 0 && Math.abs(share) < 0.1 ? 1 : 0)} %`;
const kibibytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
