import { floatTensor, floatsOf, makeNode, uniqueName } from '@modelmill/onnx';
import type { Attribute, Graph, Node } from '@modelmill/onnx';
import { TrainingFormError } from '../errors.js';
import { weightsNamed } from './glob.js';

/** Low-rank adapters (Hu et al. 2021): W + (alpha / rank) · A·B, with A and B trained. */
export interface LowRank {
  readonly rank: number;
  readonly alpha: number;
  /** Globs over names of weights, or of nodes that read them; none: every matrix a MatMul or Gemm multiplies by. */
  readonly targets: readonly string[];
}

/** One adapted weight: W gains scale · A·B, its axes exchanged where `turned`. A is [into, rank], B is [rank, out]. */
export interface Adapter {
  readonly weight: string;
  readonly a: string;
  readonly b: string;
  readonly scale: number;
  readonly turned: boolean;
}

/** A weight that can be adapted, as its nodes read it. */
interface Adaptable {
  readonly nodes: Node[];
  readonly into: number;
  readonly out: number;
  readonly turned: boolean;
}

type Draw = (stream: number, count: number) => Float32Array;

/** Adds adapters to those of the weights that MatMul, Gemm or a 1x1 Conv multiply by, in place. */
export function addAdapters(graph: Graph, weights: readonly string[], options: LowRank, random: Draw): Adapter[] {
  const adaptable = adaptableOf(graph, weights);
  const known = [...adaptable.keys()];
  const isMatrix = (weight: string) => adaptable.get(weight)!.nodes.every(({ opType }) => opType !== 'Conv');
  const targets =
    options.targets.length === 0
      ? known.filter(isMatrix)
      : weightsNamed(graph, known, options.targets, 'base.lora.targets');
  const adapters = [...targets].map((weight, i) => {
    const found = adaptable.get(weight)!;
    const rank = Math.min(options.rank, found.into, found.out);
    return adapt(graph, weight, found, { rank, scale: options.alpha / options.rank }, (count) => random(i, count));
  });
  if (adapters.length === 0)
    throw new TrainingFormError('base.lora finds no matrix that a MatMul or Gemm multiplies by');
  return adapters;
}

function adaptableOf(graph: Graph, weights: readonly string[]): Map<string, Adaptable> {
  const found = new Map<string, Adaptable>();
  const wanted = new Set(weights);
  for (const node of graph.nodes) {
    const weight = node.inputs[1] ?? '';
    const dims = wanted.has(weight) ? graph.initializers.get(weight)!.dims : [];
    const turned = node.opType === 'Conv' || intOf(node.attributes.get('transB'), 0) === 1;
    if (!isAdaptable(node, dims)) continue;
    const [rows = 0, columns = 0] = dims;
    const known = found.get(weight);
    if (known) known.nodes.push(node);
    else found.set(weight, { nodes: [node], turned, into: turned ? columns : rows, out: turned ? rows : columns });
  }
  // read in two ways, or by a node of another kind, a weight would not change everywhere alike
  for (const [weight, { nodes, turned }] of found) {
    const alike = graph.nodes.filter(({ inputs }) => inputs.includes(weight));
    const isTurned = (node: Node) => node.opType === 'Conv' || intOf(node.attributes.get('transB'), 0) === 1;
    if (alike.length !== nodes.length || nodes.some((node) => isTurned(node) !== turned)) found.delete(weight);
  }
  return found;
}

function isAdaptable({ opType, attributes }: Node, dims: readonly number[]): boolean {
  switch (opType) {
    case 'MatMul':
      return dims.length === 2;
    case 'Gemm':
      return dims.length === 2 && intOf(attributes.get('transA'), 0) === 0;
    case 'Conv':
      return dims.length > 2 && dims.slice(2).every((size) => size === 1) && intOf(attributes.get('group'), 1) === 1;
    default:
      return false;
  }
}

const intOf = (attribute: Attribute | undefined, otherwise: number) =>
  attribute?.kind === 'int' ? attribute.value : otherwise;

function adapt(
  graph: Graph,
  weight: string,
  { nodes, into, out, turned }: Adaptable,
  { rank, scale }: { rank: number; scale: number },
  draw: (count: number) => Float32Array,
): Adapter {
  const spatial = nodes[0]!.opType === 'Conv' ? graph.initializers.get(weight)!.dims.slice(2) : undefined;
  const a = uniqueName(graph, `${weight}.lora_a`);
  const b = uniqueName(graph, `${weight}.lora_b`);
  // a random start for A and zeros for B: at first the graph says what the base says
  const limit = 1 / Math.sqrt(into);
  const values = draw(into * rank).map((u) => (2 * u - 1) * limit);
  graph.initializers.set(a, floatTensor(a, spatial ? [rank, into, ...spatial] : [into, rank], values));
  graph.initializers.set(
    b,
    floatTensor(b, spatial ? [out, rank, ...spatial] : [rank, out], new Float32Array(rank * out)),
  );
  for (const node of nodes) {
    const alpha = node.attributes.get('alpha');
    const factor = scale * (node.opType === 'Gemm' && alpha?.kind === 'float' ? alpha.value : 1);
    addBeside(graph, node, { a, b, factor }, spatial !== undefined);
  }
  return { weight, a, b, scale, turned };
}

/** y = node(x) + factor · (x·A)·B */
function addBeside(
  graph: Graph,
  node: Node,
  { a, b, factor }: { a: string; b: string; factor: number },
  isConv: boolean,
): void {
  const [x] = node.inputs as [string];
  const [output] = node.outputs as [string];
  const name = (part: string) => uniqueName(graph, `${output}.${part}`);
  const [base, down, up, by, scaled] = [name('base'), name('down'), name('up'), name('scale'), name('adapted')];
  graph.initializers.set(by, floatTensor(by, [], [factor]));
  const first = isConv
    ? makeNode('Conv', [x, a], [down], Object.fromEntries(node.attributes))
    : makeNode('MatMul', [x, a], [down]);
  const second = makeNode(isConv ? 'Conv' : 'MatMul', [down, b], [up]);
  node.outputs = [base];
  graph.nodes.push(first, second, makeNode('Mul', [up, by], [scaled]), makeNode('Add', [base, scaled], [output]));
}

/** W + scale · A·B for each adapted weight, from values of A and B by name and from the base's W. */
export function mergeAdapters(
  graph: Graph,
  adapters: readonly Adapter[],
  weights: ReadonlyMap<string, Float32Array>,
): Map<string, Float32Array> {
  const merged = new Map(weights);
  for (const { weight, a, b, scale, turned } of adapters) {
    merged.delete(a);
    merged.delete(b);
    const [left, right] = [weights.get(a), weights.get(b)];
    if (!left || !right) continue;
    const tensor = graph.initializers.get(weight)!;
    const values = floatsOf(tensor).slice();
    const isConv = tensor.dims.length > 2;
    const [rows = 0, columns = 0] = tensor.dims;
    const [into, out] = turned ? [columns, rows] : [rows, columns];
    const rank = left.length / into;
    for (let i = 0; i < into; i++) {
      for (let o = 0; o < out; o++) {
        let sum = 0;
        for (let r = 0; r < rank; r++) {
          sum += isConv ? left[r * into + i]! * right[o * rank + r]! : left[i * rank + r]! * right[r * out + o]!;
        }
        values[turned ? o * into + i : i * out + o]! += scale * sum;
      }
    }
    merged.set(weight, values);
  }
  return merged;
}
