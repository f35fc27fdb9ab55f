import { attribute } from '@modelmill/onnx';
import { LayerError } from '../errors.js';
import type { LayerOf } from '../layer-spec.js';
import type { Shape } from '../value.js';
import { activate, add, aside, listed } from './building.js';
import type { Building, Place } from './building.js';
import { conv1d, conv2d } from './convolution.js';
import { dense } from './dense.js';
import { batchNorm } from './normalization.js';

/** He et al. 2016. */
export function residual(to: Building, layer: LayerOf<'residual'>, at: Place): void {
  const before = { value: to.value, shape: to.shape };
  to.addAll(layer.layers, at.name, `${at.shown}.layers`);
  const after = { value: to.value, shape: to.shape };
  let around = before.value;
  if (!same(before.shape, after.shape)) {
    if (!layer.project) {
      const got = `${listed(before.shape)} before and ${listed(after.shape)} after its layers`;
      throw new LayerError(`${at.shown} wants one shape before and after its layers, or project; got ${got}`);
    }
    Object.assign(to, before);
    project(to, layer, after.shape, at);
    if (!same(to.shape, after.shape)) {
      throw new LayerError(`${at.shown} can project to ${listed(to.shape)}, its layers give ${listed(after.shape)}`);
    }
    around = to.value;
    Object.assign(to, after);
  }
  add(to, 'Add', [around], at.name, to.shape);
  activate(to, layer.activation, `${at.name}.${layer.activation}`);
}

/**
 * The way around: a 1x1 convolution and a batch normalization, or a dense layer for sizes without channels. Of two axes,
 * the first are channels where the layers convolve.
 */
function project(to: Building, { layers }: LayerOf<'residual'>, wanted: Shape, at: Place): void {
  const place: Place = { name: `${at.name}.projection`, shown: `${at.shown}.project`, next: undefined };
  const [filters = 0, ...sizes] = wanted;
  const [down = 1, across = 1] = to.shape.slice(1).map((length, i) => Math.ceil(length / (sizes[i] ?? 1)));
  const options = { filters, padding: 'valid', groups: 1, bias: false } as const;
  if (to.shape.length === 3) {
    conv2d(to, { kind: 'conv2d', ...options, kernel: [1, 1], stride: [down, across] }, place);
  } else if (layers.some(({ kind }) => kind === 'conv1d')) {
    conv1d(to, { kind: 'conv1d', ...options, kernel: 1, stride: down, dilation: 1 }, place);
  } else return dense(to, { kind: 'dense', units: wanted.at(-1) ?? 1, bias: false }, place);
  batchNorm(to, { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 }, { ...place, name: `${place.name}.norm` });
}

export function parallel(to: Building, { branches, merge }: LayerOf<'parallel'>, at: Place): void {
  const before = { value: to.value, shape: to.shape };
  const ends = branches.map((layers, i) => {
    Object.assign(to, before);
    to.addAll(layers, `${at.name}.${i}`, `${at.shown}.branches[${i}].layers`);
    return { value: to.value, shape: to.shape };
  });
  const [first, ...others] = ends;
  if (!first || others.length === 0)
    throw new LayerError(`${at.shown} wants at least two branches, got ${ends.length}`);
  // channels lie first, the numbers of a place last
  const axis = first.shape.length > 2 ? 0 : first.shape.length - 1;
  for (const { shape } of others) {
    const fits =
      shape.length === first.shape.length &&
      shape.every((length, i) => length === first.shape[i] || (merge === 'concat' && i === axis));
    if (!fits) throw new LayerError(`${at.shown} cannot ${merge} ${listed(first.shape)} and ${listed(shape)}`);
  }
  Object.assign(to, first);
  if (merge === 'add') {
    others.forEach(({ value }, i) =>
      add(to, 'Add', [value], i === others.length - 1 ? at.name : `${at.name}.sum${i}`, to.shape),
    );
    return;
  }
  const along = ends.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  to.value = aside(
    to,
    'Concat',
    ends.map(({ value }) => value),
    at.name,
    { axis: attribute(axis + 1) },
  );
  to.shape = first.shape.map((length, i) => (i === axis ? along : length));
}

const same = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((length, i) => length === b[i]);
