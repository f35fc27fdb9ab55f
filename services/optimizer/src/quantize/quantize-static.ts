import { attribute, floatTensor, floatView, intTensor, makeNode, producerOf } from '@modelmill/onnx';
import { removeNode, replaceInput, uniqueName } from '@modelmill/onnx';
import type { Graph, Model, Tensor } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants, floatOf } from '../constant-of.js';
import type { OnLayer } from '../layer-progress.js';
import { packed } from '../pack/codebooks.js';
import { lostOnAverage } from './bias-correction.js';
import { planQuantization } from './quantization-plan.js';
import type { KeepsFloats, QuantizationPlan, QuantizedLayer } from './quantization-plan.js';
import type { ValueRange } from './value-range.js';
import {
  activationScale,
  biasScales,
  quantizedBias,
  quantizedWeights,
  restOf,
  roomForBias,
  weightScales,
} from './quantized-numbers.js';
import type { Channels } from './quantized-numbers.js';
import { raiseOpset } from './raise-opset.js';

export interface StaticOptions {
  /** Weights in 7 bits. */
  readonly reduced?: boolean;
  /** Of the channels that layers take: biases make up for what rounding the weights takes on the average. */
  readonly means?: ReadonlyMap<string, Float64Array>;
  readonly keepsFloats?: KeepsFloats;
  readonly onLayer?: OnLayer;
}

/** The layers that quantization makes. */
export const quantizableLayers = (model: Model, keepsFloats?: KeepsFloats): readonly QuantizedLayer[] =>
  planQuantization(model, keepsFloats).layers;

/** The tensors whose ranges `quantizeStatic` wants; none where no layer can be quantized. */
export function quantizableTensors(model: Model, keepsFloats?: KeepsFloats): string[] {
  return rangedTensors(planQuantization(model, keepsFloats));
}

/** Those, and the tensors that share their ranges: enough for any choice of layers that keep floats. */
export const quantizedTensors = (model: Model): string[] => [...planQuantization(model).quantized];

const rangedTensors = ({ quantized, sharing }: QuantizationPlan) =>
  [...quantized].filter((value) => !sharing.has(value));

/**
 * Writes a model of dense initializers in QDQ form, in place: activations in unsigned eight bits, weights of Conv, Gemm
 * and MatMul in signed ones (reduced: 7 bits) with a scale per output channel, biases in 32 bits. Inputs and outputs keep names and types.
 * Throws OnnxFormatError where the model's opset is before 13 and a node has no equal in 13.
 */
export function quantizeStatic(
  model: Model,
  ranges: ReadonlyMap<string, ValueRange>,
  { reduced = false, means, keepsFloats, onLayer }: StaticOptions = {},
): { layers: number } {
  const bits: WeightBits = { stored: new Map(), reduced, means };
  const writeLayer: WriteLayer = (graph, layer, inputScale, at, of) => {
    void onLayer?.(layer.node.name, at, of);
    quantizeLayer(graph, layer, inputScale, bits);
  };
  return placePairs(model, ranges, writeLayer, keepsFloats);
}

/** Writes the constants of a layer whose input has eight bits of a scale; which layer, of how many. */
export type WriteLayer = (graph: Graph, layer: QuantizedLayer, inputScale: number, at: number, of: number) => void;

/** QDQ form of the activations, in place; `writeLayer` says in which form weights and biases are. */
export function placePairs(
  model: Model,
  ranges: ReadonlyMap<string, ValueRange>,
  writeLayer: WriteLayer,
  keepsFloats?: KeepsFloats,
): { layers: number } {
  const plan = planQuantization(model, keepsFloats);
  if (plan.layers.length === 0) return { layers: 0 };
  const missing = rangedTensors(plan).filter((name) => !ranges.has(name));
  if (missing.length > 0) throw new Error(`ranges want ${missing.map((name) => `'${name}'`).join(', ')}`);

  raiseOpset(model);
  changeConstants(model, () => quantize(model.graph, plan, ranges, writeLayer));
  return { layers: plan.layers.length };
}

function quantize(
  graph: Graph,
  plan: QuantizationPlan,
  ranges: ReadonlyMap<string, ValueRange>,
  writeLayer: WriteLayer,
): void {
  for (const { producer, clamp } of plan.absorbed) {
    producer.outputs = producer.outputs.map((output) => (output === clamp.inputs[0] ? clamp.outputs[0]! : output));
    removeNode(graph, clamp);
  }
  for (const node of graph.nodes) {
    const isTaken = node.opType === 'Sum' && plan.quantized.has(node.outputs[0]!);
    if (isTaken && node.inputs.length === 2) node.opType = 'Add'; // the same, and Add has an eight-bit form
  }
  const scales = addScales(graph, plan, ranges);
  for (const [i, layer] of plan.layers.entries()) {
    writeLayer(graph, layer, scales.get(layer.node.inputs[0]!)!.scale, i, plan.layers.length);
  }
  for (const [value, { names }] of scales) addPair(graph, value, names);
}

/** Names of the initializers that say how a value is quantized. */
interface ScaleNames {
  readonly scale: number;
  readonly names: readonly [scale: string, zeroPoint: string];
}

/** Stores how each quantized value is; by value, producers first. */
function addScales(graph: Graph, plan: QuantizationPlan, ranges: ReadonlyMap<string, ValueRange>) {
  const bounds = new Map(plan.absorbed.map(({ clamp, bounds }) => [clamp.outputs[0]!, bounds]));
  const scales = new Map<string, ScaleNames>();
  for (const value of plan.quantized) {
    const shared = scales.get(plan.sharing.get(value) ?? '');
    scales.set(value, shared ?? addScale(graph, value, within(ranges.get(value)!, bounds.get(value))));
  }
  return scales;
}

/** A range that a clamp is left to: it may not be wider. */
const within = ({ min, max }: ValueRange, bounds: ValueRange = { min: -Infinity, max: Infinity }): ValueRange => ({
  min: Math.max(min, bounds.min),
  max: Math.min(max, bounds.max),
});

function addScale(graph: Graph, value: string, range: ValueRange): ScaleNames {
  const { scale, zeroPoint } = activationScale(range);
  const names = [
    addConstant(graph, floatTensor(`${value}_scale`, [], [scale])),
    addConstant(graph, intTensor(`${value}_zero_point`, 'uint8', [], [zeroPoint])),
  ] as const;
  return { scale, names };
}

/** Everyone reads the value as it comes back from eight bits; an output of the graph keeps its name. */
function addPair(graph: Graph, value: string, scale: ScaleNames['names']): void {
  const producer = producerOf(graph, value);
  const isOutput = producer !== undefined && graph.outputs.some(({ name }) => name === value);
  const quantized = uniqueName(graph, `${value}_QuantizeLinear_Output`);
  const source = isOutput ? uniqueName(graph, `${value}_QuantizeLinear_Input`) : value;
  const result = isOutput ? value : uniqueName(graph, `${value}_DequantizeLinear_Output`);
  if (isOutput) producer.outputs = producer.outputs.map((output) => (output === value ? source : output));
  else replaceInput(graph, value, result);
  graph.nodes.push(
    makeNode('QuantizeLinear', [source, ...scale], [quantized]),
    makeNode('DequantizeLinear', [quantized, ...scale], [result]),
  );
}

interface WeightBits {
  /** Names of dequantized weights, by what they were made from. */
  readonly stored: Map<string, string>;
  readonly reduced: boolean;
  readonly means: ReadonlyMap<string, Float64Array> | undefined;
}

function quantizeLayer(graph: Graph, layer: QuantizedLayer, inputScale: number, bits: WeightBits): void {
  const { stored, reduced, means } = bits;
  const { node, axis } = layer;
  const [input, weightName] = node.inputs;
  const { weights, bias } = takeConstants(layer);
  const exact = weightScales(weights, reduced);
  const scales = bias ? roomForBias(bias, inputScale, exact) : exact;
  const key = [weightName, axis, ...scales].join(); // layers that share weights go on sharing them
  const rounded = quantizedWeights(weights, scales);
  const matrix = stored.get(key) ?? addWeights(graph, weightName!, rounded, scales, weights);
  stored.set(key, matrix);
  node.inputs[1] = matrix;
  if (!bias) return;
  const mean = means?.get(input!);
  if (mean) {
    const lost = restOf(weights, scales, rounded);
    lostOnAverage(layer, lost, weights.dims, mean).forEach((one, channel) => (bias[channel]! += one));
  }
  replaceBias(layer, (name) => addBias(graph, name, bias, biasScales(inputScale, scales)));
}

/** What a layer multiplies by and adds; a Gemm's factors become part of both, and the bias one number per channel. */
export function takeConstants(layer: QuantizedLayer): { weights: Channels; bias: Float32Array | undefined } {
  const { node, axis } = layer;
  const weights = { values: factored(layer.weights, layer, 'alpha'), dims: layer.weights.dims, axis };
  const bias = layer.bias && perChannel(factored(layer.bias, layer, 'beta'), weights.dims[axis]!);
  for (const factor of ['alpha', 'beta']) node.attributes.delete(factor);
  return { weights, bias };
}

/** Has a layer, or the Add after it, take another bias for the one of a name. */
export function replaceBias({ node, adding }: QuantizedLayer, made: (name: string) => string): void {
  if (!adding) {
    node.inputs[2] = made(node.inputs[2]!);
    return;
  }
  const [product] = node.outputs;
  adding.inputs = [product!, made(adding.inputs.find((other) => other !== product)!)];
}

/** A Gemm's factors become part of its constants. */
function factored(tensor: Tensor, { node }: QuantizedLayer, factor: 'alpha' | 'beta'): Readonly<Float32Array> {
  const by = node.opType === 'Gemm' ? floatOf(node, factor, 1) : 1;
  return by === 1 ? floatView(tensor) : floatView(tensor).map((value) => by * value);
}

const perChannel = (bias: Readonly<Float32Array>, channels: number) =>
  bias.length === channels ? Float32Array.from(bias) : new Float32Array(channels).fill(bias[0]!);

export function addWeights(
  graph: Graph,
  name: string,
  values: Int8Array,
  scales: Float32Array,
  { dims, axis }: Pick<Channels, 'dims' | 'axis'>,
  inFourBits = false,
): string {
  const channels = scales.length;
  const inputs = [
    inFourBits
      ? addNibbles(graph, `${name}_quantized`, dims, values)
      : addConstant(graph, intTensor(`${name}_quantized`, 'int8', dims, values)),
    addConstant(graph, floatTensor(`${name}_scale`, [channels], scales)),
    addConstant(graph, intTensor(`${name}_zero_point`, 'int8', [channels], new Int8Array(channels))),
  ];
  return addDequantized(graph, name, inputs, axis);
}

const int8 = 3;

/** Integers of four bits, two to a byte; ONNX Runtime makes eight of them once, at load. */
function addNibbles(graph: Graph, name: string, dims: readonly number[], values: Int8Array): string {
  const bytes = packed(Uint8Array.from(values, (value) => value & 15));
  const nibbles = addConstant(graph, { name: `${name}_in_four_bits`, dataType: 'int4', dims, bytes });
  const wide = uniqueName(graph, name);
  graph.nodes.push(makeNode('Cast', [nibbles], [wide], { to: attribute(int8) }));
  return wide;
}

export function addBias(graph: Graph, name: string, bias: Float32Array, scales: Float32Array): string {
  const channels = scales.length;
  const inputs = [
    addConstant(graph, intTensor(`${name}_quantized`, 'int32', [channels], quantizedBias(bias, scales))),
    addConstant(graph, floatTensor(`${name}_quantized_scale`, [channels], scales)),
    addConstant(graph, intTensor(`${name}_quantized_zero_point`, 'int32', [channels], new Int32Array(channels))),
  ];
  return addDequantized(graph, name, inputs, 0);
}

export function addDequantized(graph: Graph, name: string, inputs: string[], axis: number): string {
  const output = uniqueName(graph, `${name}_DequantizeLinear_Output`);
  graph.nodes.push(makeNode('DequantizeLinear', inputs, [output], { axis: attribute(axis) }));
  return output;
}
