import { attribute, emptyGraph, floatTensor, makeNode } from '@modelmill/onnx';
import type { Graph, Model } from '@modelmill/onnx';
import { irVersion, opset } from './emit.js';
import { LayerError } from './errors.js';
import type { LayerSpec } from './layer-spec.js';
import { add } from './layers/building.js';
import type { Building } from './layers/building.js';
import { addLayer, takesAnyLength } from './layers/layer-builders.js';
import type { Shape } from './value.js';

/** What `buildLayers` needs to know besides the layers. */
export interface BuildOptions {
  /** Sizes of one example. */
  readonly featureShape: readonly number[];
  /** Examples are int64 tokens, [time], of so many kinds. Unset: they are floats. */
  readonly tokens?: { readonly vocabulary: number };
  /** y = (x − offset) · scale, baked in as the graph's first nodes; one number per feature, or one for all. */
  readonly normalization?: { readonly offset: Float32Array; readonly scale: Float32Array };
  /** Uniform numbers in [0, 1); one stream per weight. */
  readonly random: (stream: number, count: number) => Float32Array;
  /** The graph's name. */
  readonly name: string;
}

export interface BuiltLayer {
  /** Such as `3: residual`, and `3.0: conv2d` for the first layer inside it. */
  readonly name: string;
  /** Without the batch axis. */
  readonly outputShape: readonly number[];
  /** Those of the layers inside it, too. */
  readonly parameters: number;
}

export interface BuiltModel {
  /**
   * Training form: BatchNormalization and Dropout in training mode; `input` [batch, ...features] to `output`. The time
   * axis of tokens is open where every layer on it takes any length up to the one given.
   */
  readonly forward: Model;
  readonly layers: readonly BuiltLayer[];
  readonly parameters: number;
}

/** The layers as a graph with initial weights. Throws LayerError naming the layer that does not fit. */
export function buildLayers(layers: readonly LayerSpec[], options: BuildOptions): BuiltModel {
  if (layers.length === 0) throw new LayerError('layers is empty, wants at least one');
  const { featureShape, tokens, random } = options;
  const graph = emptyGraph(options.name);
  const open = tokens !== undefined && takesAnyLength(layers);
  const sizes = open ? ['time', ...featureShape.slice(1)] : featureShape;
  graph.inputs = [{ name: 'input', dataType: tokens ? 'int64' : 'float', shape: ['batch', ...sizes] }];
  const building = startBuilding(graph, {
    value: 'input',
    shape: featureShape,
    random,
    vocabulary: tokens?.vocabulary,
  });
  normalize(building, options);
  building.addAll(layers, 'layer', 'layers');
  rename(graph, building.value, 'output');
  const [time, ...rest] = building.shape;
  const followed = open && rest.length > 0 && time === featureShape[0] ? ['time', ...rest] : building.shape;
  graph.outputs = [{ name: 'output', dataType: 'float', shape: ['batch', ...followed] }];
  const forward: Model = {
    irVersion,
    opsets: new Map([['', opset]]),
    producer: 'modelmill',
    metadata: new Map(),
    graph,
    functions: [],
  };
  return { forward, layers: building.built, parameters: building.parameters };
}

interface Beginning extends Pick<Building, 'value' | 'shape' | 'random'> {
  readonly vocabulary: number | undefined;
}

/** Layers go on from a value of the graph. Their values and weights are named after `layer0`, `layer1`, … */
export function startBuilding(
  graph: Graph,
  { vocabulary = 0, ...from }: Beginning,
): Building & { built: BuiltLayer[] } {
  const built: BuiltLayer[] = [];
  const building: Building & { built: BuiltLayer[] } = {
    ...from,
    graph,
    vocabulary,
    streams: 0,
    parameters: 0,
    embeddings: new Map(),
    built,
    addAll(layers, name, shown) {
      const path = /\d+(\.\d+)*$/.exec(name)?.[0];
      layers.forEach((layer, i) => {
        const before = building.parameters;
        const place = built.length;
        const number = path === undefined ? `${i}` : `${path}.${i}`;
        addLayer(building, layer, {
          name: path === undefined ? `${name}${i}` : `${name}.${i}`,
          shown: `${shown}[${i}] (${layer.kind})`,
          next: layers[i + 1],
        });
        const parameters = building.parameters - before;
        built.splice(place, 0, { name: `${number}: ${layer.kind}`, outputShape: building.shape, parameters });
      });
    },
  };
  return building;
}

function normalize(to: Building, { normalization, featureShape, tokens }: BuildOptions): void {
  if (!normalization || tokens) return;
  const { offset, scale } = normalization;
  // nodes, not initializers: these numbers are not trained
  const constant = (name: string, values: Float32Array) => {
    const dims: Shape = values.length === 1 ? [] : featureShape;
    to.graph.nodes.push(
      makeNode('Constant', [], [name], { value: attribute(floatTensor('', dims, values)) }, `${name}.constant`),
    );
    return name;
  };
  add(to, 'Sub', [constant('normalization.offset', offset)], 'normalization.centred', to.shape);
  add(to, 'Mul', [constant('normalization.scale', scale)], 'normalization', to.shape);
}

function rename(graph: Graph, from: string, to: string): void {
  for (const node of graph.nodes) {
    node.outputs = node.outputs.map((output) => (output === from ? to : output));
    node.inputs = node.inputs.map((input) => (input === from ? to : input));
  }
}
