import { consumersOf, elementCount, floatTensor, floatsOf } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';
import { floatConstantOf, holdsGraph, intAttribute } from '../constant-of.js';
import { planQuantization } from './quantization-plan.js';
import type { QuantizedLayer } from './quantization-plan.js';

/** A layer whose output only another reads, through a Relu or nothing. */
interface Pair {
  readonly first: QuantizedLayer;
  readonly second: QuantizedLayer;
}

const sweeps = 5;

/**
 * Cross-layer equalization (Nagel et al. 2019, Data-free quantization, section 4.1), in place: each channel between two
 * layers is divided by s = √(r₁/r₂) in the first and multiplied in the second, r being its largest weights, so that both
 * are √(r₁r₂). Answers stay the same. Returns how many pairs it changed.
 */
export function equalizeLayers(model: Model): number {
  const { graph } = model;
  if (graph.nodes.some(holdsGraph)) return 0;
  const pairs = pairsOf(graph, planQuantization(model).layers);
  for (let sweep = 0; sweep < sweeps; sweep++) for (const pair of pairs) equalize(graph, pair);
  return pairs.length;
}

function pairsOf(graph: Graph, layers: readonly QuantizedLayer[]): Pair[] {
  const layerOf = new Map(layers.map((layer) => [layer.node, layer]));
  const isOwn = (name: string | undefined) => name === undefined || consumersOf(graph, name).length === 1;
  const isConstant = (name: string | undefined) => name === undefined || graph.initializers.has(name);
  const changes = ({ node }: QuantizedLayer) =>
    node.inputs.slice(1).every((name) => isOwn(name) && isConstant(name)) && node.opType !== 'MatMul';
  return layers.flatMap((first) => {
    const reader = onlyReader(graph, first.node);
    const next = reader?.opType === 'Relu' && reader.domain === '' ? onlyReader(graph, reader) : reader;
    const second = next && layerOf.get(next);
    const fits = second && changes(first) && changes(second) && first.node.opType === second.node.opType;
    return fits && places(first, 'output') && places(second, 'input') ? [{ first, second }] : [];
  });
}

function onlyReader(graph: Graph, { outputs }: Node): Node | undefined {
  const [value] = outputs as [string];
  const [reader, another] = consumersOf(graph, value);
  const isOutput = graph.outputs.some(({ name }) => name === value);
  return another || isOutput || reader?.inputs[0] !== value ? undefined : reader;
}

/** How many channels a layer gives or takes, and which of them each weight belongs to; undefined where that is mixed. */
function places({ node, weights, axis }: QuantizedLayer, side: 'output' | 'input') {
  const { dims } = weights;
  const inner = elementCount(dims.slice(2));
  const group = intAttribute(node, 'group', 1);
  const isDepthwise = node.opType === 'Conv' && dims[1] === 1 && group === dims[0];
  if (side === 'input' && group > 1 && !isDepthwise) return undefined;
  const along = side === 'output' ? axis : isDepthwise ? 0 : 1 - axis;
  const columns = dims[1]!;
  const channelOf = (i: number) => {
    const at = Math.floor(i / inner);
    return along === 0 ? Math.floor(at / columns) : at % columns;
  };
  return { channels: dims[along]!, channelOf };
}

function equalize(graph: Graph, { first, second }: Pair): void {
  const [given, taken] = [places(first, 'output')!, places(second, 'input')!];
  if (given.channels !== taken.channels) return;
  const [w1, w2] = [first, second].map(({ node }) => floatsOf(graph.initializers.get(node.inputs[1]!)!));
  const [r1, r2] = [largest(w1!, given), largest(w2!, taken)];
  const factors = r1.map((range, c) => (range > 0 && r2[c]! > 0 ? Math.sqrt(range / r2[c]!) : 1));
  replace(graph, first.node.inputs[1]!, w1!.map((value, i) => value / factors[given.channelOf(i)]!)); // prettier-ignore
  replace(graph, second.node.inputs[1]!, w2!.map((value, i) => value * factors[taken.channelOf(i)]!)); // prettier-ignore
  const bias = floatConstantOf(graph, first.node.inputs[2]);
  if (!bias) return;
  const values = floatsOf(bias);
  const spread = Float32Array.from(factors, (factor, c) => values[values.length === 1 ? 0 : c]! / factor);
  graph.initializers.set(bias.name, floatTensor(bias.name, [spread.length], spread));
}

function largest(values: Float32Array, { channels, channelOf }: NonNullable<ReturnType<typeof places>>): Float64Array {
  const found = new Float64Array(channels);
  values.forEach((value, i) => {
    const channel = channelOf(i);
    found[channel] = Math.max(found[channel]!, Math.abs(value));
  });
  return found;
}

const replace = (graph: Graph, name: string, values: Float32Array) =>
  graph.initializers.set(name, floatTensor(name, graph.initializers.get(name)!.dims, values));
