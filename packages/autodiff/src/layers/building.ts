import { attribute, floatTensor, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Attribute, Graph, Tensor } from '@modelmill/onnx';
import { activationNodes } from '../activation-nodes.js';
import { LayerError } from '../errors.js';
import { initialWeights } from '../initial-weights.js';
import type { InitialWeights } from '../initial-weights.js';
import type { Activation, LayerSpec } from '../layer-spec.js';
import { size } from '../value.js';
import type { Shape } from '../value.js';

/** A graph under construction. */
export interface Building {
  readonly graph: Graph;
  /** The last value and its sizes without the batch axis. */
  value: string;
  shape: Shape;
  streams: number;
  parameters: number;
  /** Uniform numbers in [0, 1); one stream per weight. */
  readonly random: (stream: number, count: number) => Float32Array;
  /** Tokens of the dataset; 0: it has none. */
  readonly vocabulary: number;
  /** Tables of embeddings, by the names given to them or by their layers'. */
  readonly embeddings: Map<string, { readonly table: string; readonly vocabulary: number; readonly width: number }>;
  /** Builds layers inside a layer. */
  addAll(layers: readonly LayerSpec[], name: string, shown: string): void;
}

export interface Place {
  /** What its values and weights are called after. */
  readonly name: string;
  /** The layer in words, for errors. */
  readonly shown: string;
  readonly next: LayerSpec | undefined;
}

/** A node that reads the last value; its first output is the last value then. */
export function add(
  to: Building,
  opType: string,
  operands: readonly string[],
  name: string,
  shape: Shape,
  attributes: Record<string, Attribute> = {},
): void {
  to.graph.nodes.push(makeNode(opType, [to.value, ...operands], [name], attributes, name));
  to.value = name;
  to.shape = shape;
}

/** A node beside the chain of last values. */
export function aside(
  to: Building,
  opType: string,
  inputs: string[],
  name: string,
  attributes: Record<string, Attribute> = {},
): string {
  to.graph.nodes.push(makeNode(opType, inputs, [name], attributes, name));
  return name;
}

export function activate(to: Building, activation: Activation | undefined, name: string): void {
  if (activation === undefined) return;
  const scalar = (value: number) => constantFloat(to, `constant.${value}`, value);
  to.graph.nodes.push(...activationNodes(activation, to.value, name, scalar));
  to.value = name;
}

/** A trained tensor. */
export function weight(to: Building, name: string, dims: readonly number[], start: InitialWeights): string {
  const count = size(dims);
  const stream = to.streams++;
  to.parameters += count;
  const values = initialWeights(start, count, (wanted) => to.random(stream, wanted));
  to.graph.initializers.set(name, floatTensor(name, dims, values));
  return name;
}

/** Floats that are fed and not trained: running statistics. */
export function statistics({ graph }: Building, name: string, values: Float32Array): string {
  graph.initializers.set(name, floatTensor(name, [values.length], values));
  return name;
}

/** Numbers of any shape: a node, because initializers of at least one axis are trained. */
export function constant(to: Building, name: string, tensor: Tensor): string {
  if (to.graph.nodes.some(({ outputs }) => outputs[0] === name)) return name;
  return aside(to, 'Constant', [], name, { value: attribute(tensor) });
}

export function constantFloat({ graph }: Building, name: string, value: number): string {
  graph.initializers.set(name, floatTensor(name, [], [value]));
  return name;
}

export function constantInts({ graph }: Building, name: string, values: readonly number[]): string {
  graph.initializers.set(name, int64Tensor(name, [values.length], values));
  return name;
}

/** The activation that follows as a layer of its own, past a batch normalization: it decides how weights begin. */
export function following({ next }: Place): Activation | undefined {
  if (next?.kind === 'batch_norm') return 'relu';
  return next?.kind === 'activation' ? next.function : undefined;
}

export const listed = (shape: Shape): string => `[${shape.join(', ')}]`;

/** The sizes, which must have as many axes as `axes` has names. */
export function sized({ shape }: Building, at: Place, axes: readonly string[]): Shape {
  if (shape.length === axes.length) return shape;
  const help = axes.length === 3 ? ': put a reshape before it' : '';
  throw new LayerError(`${at.shown} wants [${axes.join(', ')}] per example, got ${listed(shape)}${help}`);
}

export const image = (to: Building, at: Place): Shape => sized(to, at, ['channels', 'height', 'width']);
export const signal = (to: Building, at: Place): Shape => sized(to, at, ['channels', 'length']);
export const text = (to: Building, at: Place): readonly [time: number, width: number] => {
  const [time = 0, width = 0] = sized(to, at, ['time', 'width']);
  return [time, width];
};

/** The size of the last axis. */
export function lastAxis({ shape }: Building, at: Place): number {
  const width = shape.at(-1);
  if (width === undefined) throw new LayerError(`${at.shown} wants at least one axis, got a single number`);
  return width;
}
