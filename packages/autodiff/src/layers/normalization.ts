import { attribute, floatAttribute, floatTensor, makeNode } from '@modelmill/onnx';
import { LayerError } from '../errors.js';
import { constantly } from '../initial-weights.js';
import type { LayerOf } from '../layer-spec.js';
import { add, aside, constant, constantFloat, constantInts, lastAxis, listed, statistics, weight } from './building.js';
import type { Building, Place } from './building.js';

const zeros = constantly(0);
const ones = constantly(1);

export function batchNorm(to: Building, layer: LayerOf<'batch_norm'>, at: Place): void {
  const [channels] = to.shape;
  if (channels === undefined) throw new LayerError(`${at.shown} wants at least one axis, got a single number`);
  const scale = weight(to, `${at.name}.scale`, [channels], ones);
  const bias = weight(to, `${at.name}.bias`, [channels], zeros);
  const mean = statistics(to, `${at.name}.running_mean`, new Float32Array(channels));
  const variance = statistics(to, `${at.name}.running_variance`, new Float32Array(channels).fill(1));
  const node = makeNode(
    'BatchNormalization',
    [to.value, scale, bias, mean, variance],
    [at.name, `${mean}.next`, `${variance}.next`],
    {
      epsilon: floatAttribute(layer.epsilon),
      momentum: floatAttribute(layer.momentum),
      training_mode: attribute(1),
    },
    at.name,
  );
  to.graph.nodes.push(node);
  to.value = at.name;
}

export function layerNorm(to: Building, { epsilon, bias = true }: LayerOf<'layer_norm'>, at: Place): void {
  lastAxis(to, at);
  layerNormalized(to, at.name, epsilon, bias);
}

export function layerNormalized(to: Building, name: string, epsilon: number, bias: boolean): void {
  const width = to.shape.at(-1)!;
  const scale = weight(to, `${name}.scale`, [width], ones);
  const offset = bias ? [weight(to, `${name}.bias`, [width], zeros)] : [];
  const attributes = { axis: attribute(-1), epsilon: floatAttribute(epsilon) };
  add(to, 'LayerNormalization', [scale, ...offset], name, to.shape, attributes);
}

/** x / √(mean x² + ε) · scale, in plain operators: RMSNormalization is newer than operator set 18. */
export function rmsNorm(to: Building, { epsilon }: LayerOf<'rms_norm'>, at: Place): void {
  const x = to.value;
  const scale = weight(to, `${at.name}.scale`, [lastAxis(to, at)], ones);
  const squares = aside(to, 'Mul', [x, x], `${at.name}.squares`);
  const mean = aside(to, 'ReduceMean', [squares, constantInts(to, 'last_axis', [-1])], `${at.name}.mean`);
  const raised = aside(to, 'Add', [mean, constantFloat(to, `constant.${epsilon}`, epsilon)], `${at.name}.raised`);
  const root = aside(to, 'Sqrt', [raised], `${at.name}.root`);
  add(to, 'Div', [root], `${at.name}.normalized`, to.shape);
  add(to, 'Mul', [scale], at.name, to.shape);
}

/** Instance normalization of the groups, then a scale and an offset per channel, as PyTorch writes it. */
export function groupNorm(to: Building, { groups, epsilon }: LayerOf<'group_norm'>, at: Place): void {
  const { shape } = to;
  const [channels = 0] = places(to, at);
  if (channels % groups !== 0) {
    throw new LayerError(`${at.shown} has ${groups} groups, wants a divisor of its ${channels} channels`);
  }
  const grouped = constantInts(to, `${at.name}.groups`, [0, groups, -1]);
  add(to, 'Reshape', [grouped], `${at.name}.grouped`, [groups, channels / groups]);
  const one = constant(to, `${at.name}.ones`, floatTensor('', [groups], new Float32Array(groups).fill(1)));
  const zero = constant(to, `${at.name}.zeros`, floatTensor('', [groups], new Float32Array(groups)));
  const attributes = { epsilon: floatAttribute(epsilon) };
  add(to, 'InstanceNormalization', [one, zero], `${at.name}.instances`, to.shape, attributes);
  add(to, 'Reshape', [constantInts(to, `${at.name}.shape`, [0, ...shape])], `${at.name}.normalized`, shape);
  const perChannel = [channels, ...shape.slice(1).map(() => 1)];
  add(to, 'Mul', [weight(to, `${at.name}.scale`, perChannel, ones)], `${at.name}.scaled`, shape);
  add(to, 'Add', [weight(to, `${at.name}.bias`, perChannel, zeros)], at.name, shape);
}

export function instanceNorm(to: Building, { epsilon }: LayerOf<'instance_norm'>, at: Place): void {
  const [channels = 0] = places(to, at);
  const scale = weight(to, `${at.name}.scale`, [channels], ones);
  const bias = weight(to, `${at.name}.bias`, [channels], zeros);
  add(to, 'InstanceNormalization', [scale, bias], at.name, to.shape, { epsilon: floatAttribute(epsilon) });
}

/** Channels and at least one axis of places. */
function places({ shape }: Building, at: Place): readonly number[] {
  if (shape.length >= 2) return shape;
  throw new LayerError(`${at.shown} wants [channels, …] of at least two axes per example, got ${listed(shape)}`);
}
