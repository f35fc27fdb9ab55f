import { attribute, emptyGraph, floatAttribute, floatTensor, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Attribute, Graph, Model } from '@modelmill/onnx';
import { activationNodes } from './activation-nodes.js';
import { irVersion, opset } from './emit.js';
import { LayerError } from './errors.js';
import { initialWeights } from './initial-weights.js';
import type { Activation, LayerSpec, Size2d } from './layer-spec.js';
import { size } from './value.js';
import type { Shape } from './value.js';
import { samePadding } from './windows.js';

/** What `buildLayers` needs to know besides the layers. */
export interface BuildOptions {
  /** Sizes of one example. */
  readonly featureShape: readonly number[];
  /** y = (x − offset) · scale, baked in as the graph's first nodes; one number per feature, or one for all. */
  readonly normalization?: { readonly offset: Float32Array; readonly scale: Float32Array };
  /** Uniform numbers in [0, 1); one stream per weight. */
  readonly random: (stream: number, count: number) => Float32Array;
  /** The graph's name. */
  readonly name: string;
}

export interface BuiltModel {
  /** Training form: BatchNormalization and Dropout in training mode; `input` [batch, ...features] to `output`. */
  readonly forward: Model;
  readonly layers: readonly {
    readonly name: string;
    /** Without the batch axis. */
    readonly outputShape: readonly number[];
    readonly parameters: number;
  }[];
  readonly parameters: number;
}

/** The layers as a graph with initial weights. Throws LayerError naming the layer that does not fit. */
export function buildLayers(layers: readonly LayerSpec[], options: BuildOptions): BuiltModel {
  if (layers.length === 0) throw new LayerError('layers is empty, wants at least one');
  const graph = emptyGraph(options.name);
  graph.inputs = [{ name: 'input', dataType: 'float', shape: ['batch', ...options.featureShape] }];
  const building: Building = {
    graph,
    value: 'input',
    shape: options.featureShape,
    streams: 0,
    random: options.random,
    parameters: 0,
  };
  normalize(building, options);
  const built = layers.map((layer, i) => {
    const before = building.parameters;
    const at = { name: `layer${i}`, shown: `layers[${i}] (${layer.kind})`, next: layers[i + 1] };
    addLayer(building, layer, at);
    return {
      name: `${i}: ${layer.kind}`,
      outputShape: building.shape,
      parameters: building.parameters - before,
    };
  });
  rename(graph, building.value, 'output');
  graph.outputs = [{ name: 'output', dataType: 'float', shape: ['batch', ...building.shape] }];
  const forward: Model = {
    irVersion,
    opsets: new Map([['', opset]]),
    producer: 'modelmill',
    metadata: new Map(),
    graph,
    functions: [],
  };
  return { forward, layers: built, parameters: building.parameters };
}

/** A graph under construction. */
interface Building {
  readonly graph: Graph;
  /** The last value and its sizes without the batch axis. */
  value: string;
  shape: Shape;
  streams: number;
  parameters: number;
  readonly random: BuildOptions['random'];
}

interface Place {
  readonly name: string;
  /** The layer in words, for errors. */
  readonly shown: string;
  readonly next: LayerSpec | undefined;
}

function addLayer(to: Building, layer: LayerSpec, at: Place): void {
  switch (layer.kind) {
    case 'dense':
      return dense(to, layer.units, layer.activation, at);
    case 'conv2d':
      return conv2d(to, layer, at);
    case 'max_pool2d':
      return pool2d(to, 'MaxPool', layer, at);
    case 'average_pool2d':
      return pool2d(to, 'AveragePool', layer, at);
    case 'global_average_pool': {
      const [channels = 0] = image(to, at);
      add(to, 'GlobalAveragePool', [], `${at.name}.mean`, [channels, 1, 1]);
      return add(to, 'Flatten', [], at.name, [channels]);
    }
    case 'flatten':
      return add(to, 'Flatten', [], at.name, [size(to.shape)]);
    case 'reshape': {
      if (size(layer.shape) !== size(to.shape)) {
        const got = `${size(to.shape)} numbers per example ([${to.shape.join(', ')}])`;
        throw new LayerError(`${at.shown} wants ${size(layer.shape)} for [${layer.shape.join(', ')}], got ${got}`);
      }
      const shape = constantInts(to, `${at.name}.shape`, [0, ...layer.shape]);
      // 0 copies the batch axis; a shape of more axes than it copies from is fine
      return add(to, 'Reshape', [shape], at.name, layer.shape);
    }
    case 'activation':
      return activate(to, layer.function, at.name);
    case 'dropout': {
      const rate = constantFloat(to, `${at.name}.rate`, layer.rate);
      const training = `${at.name}.training`;
      to.graph.initializers.set(training, { name: training, dataType: 'bool', dims: [], bytes: Uint8Array.of(1) });
      return add(to, 'Dropout', [rate, training], at.name, to.shape);
    }
    case 'batch_norm':
      return batchNorm(to, layer, at);
    case 'layer_norm': {
      const [width = 0] = to.shape.slice(-1);
      const scale = weight(to, `${at.name}.scale`, [width], 'ones');
      const bias = weight(to, `${at.name}.bias`, [width], 'zeros');
      const attributes = { axis: attribute(-1), epsilon: floatAttribute(layer.epsilon) };
      return add(to, 'LayerNormalization', [scale, bias], at.name, to.shape, attributes);
    }
  }
}

function dense(to: Building, units: number, activation: Activation | undefined, at: Place): void {
  const width = to.shape.at(-1);
  if (width === undefined) throw new LayerError(`${at.shown} wants at least one axis, got a single number`);
  const init = { fanIn: width, fanOut: units, activation: activation ?? following(at) };
  const kernel = weight(to, `${at.name}.weight`, [width, units], init);
  const bias = weight(to, `${at.name}.bias`, [units], 'zeros');
  const shape = [...to.shape.slice(0, -1), units];
  if (to.shape.length === 1) add(to, 'Gemm', [kernel, bias], at.name, shape);
  else {
    add(to, 'MatMul', [kernel], `${at.name}.product`, shape);
    add(to, 'Add', [bias], at.name, shape);
  }
  if (activation) activate(to, activation, `${at.name}.${activation}`);
}

function conv2d(to: Building, layer: Extract<LayerSpec, { kind: 'conv2d' }>, at: Place): void {
  const [channels = 0, ...spatial] = image(to, at);
  const { filters, kernel, stride, padding, groups, activation } = layer;
  if (channels % groups !== 0 || filters % groups !== 0) {
    throw new LayerError(
      `${at.shown} has ${groups} groups, wants a divisor of its ${channels} input and ${filters} output channels`,
    );
  }
  const pads = spatial.map((length, i) => (padding === 'same' ? samePadding(length, kernel[i]!, stride[i]!) : [0, 0]));
  const outputs = spatial.map((length, i) => windowCount(length + pads[i]![0]! + pads[i]![1]!, kernel, stride, i, at));
  const area = size(kernel);
  const init = {
    fanIn: (channels / groups) * area,
    fanOut: (filters / groups) * area,
    activation: activation ?? following(at),
  };
  const weights = weight(to, `${at.name}.weight`, [filters, channels / groups, ...kernel], init);
  const bias = weight(to, `${at.name}.bias`, [filters], 'zeros');
  add(to, 'Conv', [weights, bias], at.name, [filters, ...outputs], {
    kernel_shape: attribute(kernel),
    strides: attribute(stride),
    pads: attribute([...pads.map(([before]) => before!), ...pads.map(([, after]) => after!)]),
    ...(groups === 1 ? {} : { group: attribute(groups) }),
  });
  if (activation) activate(to, activation, `${at.name}.${activation}`);
}

function pool2d(to: Building, opType: string, { kernel, stride }: { kernel: Size2d; stride: Size2d }, at: Place): void {
  const [channels = 0, ...spatial] = image(to, at);
  const outputs = spatial.map((length, i) => windowCount(length, kernel, stride, i, at));
  add(to, opType, [], at.name, [channels, ...outputs], {
    kernel_shape: attribute(kernel),
    strides: attribute(stride),
  });
}

function batchNorm(to: Building, layer: Extract<LayerSpec, { kind: 'batch_norm' }>, at: Place): void {
  const [channels] = to.shape;
  if (channels === undefined) throw new LayerError(`${at.shown} wants at least one axis, got a single number`);
  const scale = weight(to, `${at.name}.scale`, [channels], 'ones');
  const bias = weight(to, `${at.name}.bias`, [channels], 'zeros');
  const mean = constantFloats(to, `${at.name}.running_mean`, new Float32Array(channels));
  const variance = constantFloats(to, `${at.name}.running_variance`, new Float32Array(channels).fill(1));
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

/** Channels, height and width. */
function image({ shape }: Building, at: Place): Shape {
  if (shape.length === 3) return shape;
  throw new LayerError(
    `${at.shown} wants [channels, height, width] per example, got [${shape.join(', ')}]: put a reshape before it`,
  );
}

function windowCount(length: number, kernel: Size2d, stride: Size2d, axis: number, at: Place): number {
  const free = length - kernel[axis]!;
  if (free < 0) {
    throw new LayerError(`${at.shown} has a kernel of [${kernel.join(', ')}], wants at most the ${length} there are`);
  }
  return Math.floor(free / stride[axis]!) + 1;
}

/** The activation that follows as a layer of its own, past a batch normalization: it decides how weights begin. */
function following({ next }: Place): Activation | undefined {
  if (next?.kind === 'batch_norm') return 'relu';
  return next?.kind === 'activation' ? next.function : undefined;
}

function normalize(to: Building, { normalization, featureShape }: BuildOptions): void {
  if (!normalization) return;
  const { offset, scale } = normalization;
  // nodes, not initializers: these numbers are not trained
  const constant = (name: string, values: Float32Array) => {
    const dims = values.length === 1 ? [] : featureShape;
    to.graph.nodes.push(
      makeNode('Constant', [], [name], { value: attribute(floatTensor('', dims, values)) }, `${name}.constant`),
    );
    return name;
  };
  add(to, 'Sub', [constant('normalization.offset', offset)], 'normalization.centred', to.shape);
  add(to, 'Mul', [constant('normalization.scale', scale)], 'normalization', to.shape);
}

function activate(to: Building, activation: Activation, name: string): void {
  const scalar = (value: number) => constantFloat(to, `constant.${value}`, value);
  to.graph.nodes.push(...activationNodes(activation, to.value, name, scalar));
  to.value = name;
}

function add(
  to: Building,
  opType: string,
  operands: string[],
  name: string,
  shape: Shape,
  attributes: Record<string, Attribute> = {},
): void {
  to.graph.nodes.push(makeNode(opType, [to.value, ...operands], [name], attributes, name));
  to.value = name;
  to.shape = shape;
}

type Init = Parameters<typeof initialWeights>[0] | 'zeros' | 'ones';

function weight(to: Building, name: string, dims: number[], init: Init): string {
  const count = size(dims);
  const stream = to.streams++;
  to.parameters += count;
  const values =
    typeof init === 'string'
      ? new Float32Array(count).fill(init === 'ones' ? 1 : 0)
      : initialWeights(init, to.random(stream, count));
  to.graph.initializers.set(name, floatTensor(name, dims, values));
  return name;
}

function constantFloats({ graph }: Building, name: string, values: Float32Array): string {
  graph.initializers.set(name, floatTensor(name, [values.length], values));
  return name;
}

function constantFloat({ graph }: Building, name: string, value: number): string {
  graph.initializers.set(name, floatTensor(name, [], [value]));
  return name;
}

function constantInts({ graph }: Building, name: string, values: readonly number[]): string {
  graph.initializers.set(name, int64Tensor(name, [values.length], values));
  return name;
}

function rename(graph: Graph, from: string, to: string): void {
  for (const node of graph.nodes) node.outputs = node.outputs.map((output) => (output === from ? to : output));
  if (graph.nodes.some(({ inputs }) => inputs.includes(from))) {
    for (const node of graph.nodes) node.inputs = node.inputs.map((input) => (input === from ? to : input));
  }
}
