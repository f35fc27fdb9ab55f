import { floatTensor, intTensor, makeNode, uniqueName } from '@modelmill/onnx';
import type { Graph, Model } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { floatOf } from '../constant-of.js';
import { quantizedWeights, weightScales } from './quantized-numbers.js';
import type { Channels } from './quantized-numbers.js';
import { placePairs, replaceBias, takeConstants } from './quantize-static.js';
import type { ValueRange } from './value-range.js';

/** Weights that are floats and are rounded on their way into a layer. */
export interface RoundedWeights {
  /** Of the float initializer. */
  readonly name: string;
  /** Of the logarithms of the scales, one per output channel. */
  readonly logScale: string;
  /** What layers read. */
  readonly value: string;
  readonly axis: number;
  /** Integers go from minus this to this. */
  readonly limit: number;
  /** Biases of the layers that read them, and the scales of these layers' inputs. */
  readonly biases: { readonly name: string; readonly inputScale: number }[];
}

export interface FakeOptions {
  /** Of a weight, 2 to 8. */
  readonly bits: number;
  /** 7 bits in place of 8. */
  readonly reduced: boolean;
}

/**
 * Rounds in floats where `quantizeStatic` computes in integers, in place: every activation that would have eight bits goes
 * through QuantizeLinear and DequantizeLinear, every weight through w ↦ s·⌊clip(w / s, ±limit)⌉. The scales s are e to the
 * power of an initializer, so that a training learns them beside the weights (LSQ, Esser et al. 2020), in relative steps.
 */
export function fakeQuantize(model: Model, ranges: ReadonlyMap<string, ValueRange>, options: FakeOptions) {
  const limit = options.reduced && options.bits === 8 ? 64 : 2 ** (options.bits - 1) - 1;
  const made = new Map<string, RoundedWeights>();
  placePairs(model, ranges, (graph, layer, inputScale) => {
    const name = layer.node.inputs[1]!;
    const key = [name, layer.axis, floatOf(layer.node, 'alpha', 1)].join(); // layers that share weights go on sharing them
    const { weights, bias } = takeConstants(layer);
    const rounded = made.get(key) ?? addRounded(graph, name, weights, limit);
    made.set(key, rounded);
    layer.node.inputs[1] = rounded.value;
    if (!bias) return;
    replaceBias(layer, (of) => {
      const trained = addConstant(graph, floatTensor(`${of}_float`, [bias.length], bias));
      rounded.biases.push({ name: trained, inputScale });
      return trained;
    });
  });
  return [...made.values()];
}

function addRounded(graph: Graph, of: string, weights: Channels, limit: number): RoundedWeights {
  const { dims, axis, values } = weights;
  const logs = startScales(weights, limit).map(Math.log);
  const name = addConstant(graph, floatTensor(`${of}_float`, dims, values));
  const perChannel = dims.map((length, i) => (i === axis ? length : 1));
  const logScale = addConstant(graph, floatTensor(`${of}_log_scale`, perChannel, logs));
  const [low, high, one] = [-limit, limit, 1].map((value) =>
    addConstant(graph, floatTensor(`${of}_${value}`, [], [value])),
  );
  const zero = addConstant(graph, intTensor(`${of}_0`, 'int8', [], [0]));
  const part = (name: string) => uniqueName(graph, `${of}_${name}`);
  const [scale, quotient, clipped, integers, rounded, value] = [
    ...['scale', 'quotient', 'clipped', 'integers', 'rounded', 'dequantized'].map(part),
  ] as [string, string, string, string, string, string];
  graph.nodes.unshift(
    makeNode('Exp', [logScale], [scale]),
    makeNode('Div', [name, scale], [quotient]),
    makeNode('Clip', [quotient, low!, high!], [clipped]),
    makeNode('QuantizeLinear', [clipped, one!, zero], [integers]),
    makeNode('DequantizeLinear', [integers, one!, zero], [rounded]),
    makeNode('Mul', [rounded, scale], [value]),
  );
  return { name, logScale, value, axis, limit, biases: [] };
}

const shares = Array.from({ length: 36 }, (_, i) => 1 - 0.02 * i);

/** In eight bits those of `quantizeStatic`; in fewer the share of them that leaves the least squared error. */
function startScales(weights: Channels, limit: number): Float32Array {
  if (limit >= 64) return weightScales(weights, limit === 64);
  const widest = weightScales(weights).map((scale) => (scale * 127) / limit);
  const least = new Float64Array(widest.length).fill(Infinity);
  const best = widest.slice();
  for (const share of shares) {
    const scales = widest.map((scale) => scale * share);
    const errors = squaredErrors(weights, scales, limit);
    errors.forEach((error, channel) => {
      if (error >= least[channel]!) return;
      least[channel] = error;
      best[channel] = scales[channel]!;
    });
  }
  return best;
}

function squaredErrors(weights: Channels, scales: Float32Array, limit: number): Float64Array {
  const { values, dims, axis } = weights;
  const inner = dims.slice(axis + 1).reduce((product, length) => product * length, 1);
  const errors = new Float64Array(scales.length);
  quantizedWeights(weights, scales, limit).forEach((integer, i) => {
    const channel = Math.floor(i / inner) % scales.length;
    errors[channel]! += (values[i]! - integer * scales[channel]!) ** 2;
  });
  return errors;
}
