import { elementCount, floatView, floatsOf, topologicallySorted } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { constantOf, floatConstantOf, holdsGraph, intAttribute, isLeftOut } from '../constant-of.js';

/** A node whose products are computed in eight bits. */
export interface QuantizedLayer {
  readonly node: Node;
  readonly weights: Tensor;
  /** The axis of the weights that runs along the output's channels. */
  readonly axis: number;
  readonly bias: Tensor | undefined;
  /** The Add after a MatMul that has the bias; ONNX Runtime makes one node of both. */
  readonly adding: Node | undefined;
}

/** A Relu or Clip that the range of its output stands for. */
export interface Absorbed {
  readonly producer: Node;
  readonly clamp: Node;
  readonly bounds: Bounds;
}

/** Whether a layer is to stay as it is. */
export type KeepsFloats = (node: Node) => boolean;

interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** What quantization does to a graph. */
export interface QuantizationPlan {
  readonly layers: readonly QuantizedLayer[];
  /** Values stored in eight bits, producers first. */
  readonly quantized: ReadonlySet<string>;
  /** Quantized values that have the scale of another, by their names: their operator moves numbers and makes none. */
  readonly sharing: ReadonlyMap<string, string>;
  readonly absorbed: readonly Absorbed[];
}

/** Operators that pick and move the numbers of their first input. */
const moving = new Set(['Dropout', 'Flatten', 'Identity', 'MaxPool', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze']);
/** Operators that ONNX Runtime has in eight bits, worth it where their operands have them anyway. */
const joining = new Set('Add AveragePool Clip Concat GlobalAveragePool LeakyRelu Mul Relu Sigmoid Sum'.split(' '));

/** A node with the clamp its output goes into. */
interface Group {
  readonly kind: 'layer' | 'moving' | 'joining' | 'other';
  readonly node: Node;
  readonly clamp: Omit<Absorbed, 'producer'> | undefined;
  /** The value it makes: the clamp's where there is one. */
  readonly value: string;
}

/**
 * Layers with constant weights take eight bits, and convolutions give them. What lies between layers and can stay in
 * eight bits does; every other operator, and the end of the graph, keeps floats: a Gemm or MatMul gives floats to those.
 */
export function planQuantization({ graph }: Model, keepsFloats: KeepsFloats = () => false): QuantizationPlan {
  const nodes = topologicallySorted(graph);
  const consumers = consumersByValue(nodes);
  const layers = new Map(
    nodes.flatMap((node) => {
      const layer = keepsFloats(node) ? undefined : layerOf(graph, node, consumers);
      return layer ? [[node, layer] as const] : [];
    }),
  );
  const groups = groupsOf(graph, nodes, layers, consumers);
  const eligible = eligibleValues(groups, layers);
  const following = groups.filter((group) => follows(group, eligible));
  const quantized = quantizedValues(graph, groups, eligible, new Set(following), consumers);
  const inEightBits = groups.filter(({ value }) => quantized.has(value));
  return {
    layers: [...layers.values()],
    quantized,
    sharing: new Map(
      following.flatMap(({ kind, node, value }) =>
        kind === 'moving' && quantized.has(value) ? [[value, node.inputs[0]!]] : [],
      ),
    ),
    absorbed: inEightBits.flatMap(({ node, clamp }) => (clamp ? [{ producer: node, ...clamp }] : [])),
  };
}

type Consumers = ReadonlyMap<string, readonly Node[]>;

function layerOf(graph: Graph, node: Node, consumers: Consumers): QuantizedLayer | undefined {
  const isLayer = node.domain === '' && ['Conv', 'Gemm', 'MatMul'].includes(node.opType);
  const weights = isLayer ? floatConstantOf(graph, node.inputs[1]) : undefined;
  if (!weights || constantOf(graph, node.inputs[0])) return undefined;
  const bias = floatConstantOf(graph, node.inputs[2]);
  if (!bias && !isLeftOut(node.inputs[2])) return undefined;
  if (node.opType === 'Conv') return { node, weights, axis: 0, bias, adding: undefined };

  if (weights.dims.length !== 2 || intAttribute(node, 'transA', 0) !== 0) return undefined;
  const axis = 1 - intAttribute(node, 'transB', 0);
  const isPerRow = bias && elementCount(bias.dims) !== 1 && elementCount(bias.dims) !== bias.dims.at(-1);
  if (isPerRow) return undefined;
  const added = node.opType === 'MatMul' ? addedBias(graph, node, weights, consumers) : undefined;
  return { node, weights, axis, bias: bias ?? added?.bias, adding: added?.adding };
}

/** What an Add with one number per column does after a MatMul that nothing else reads. */
function addedBias(graph: Graph, { outputs }: Node, weights: Tensor, consumers: Consumers) {
  const [value] = outputs as [string];
  const [adding, another] = consumers.get(value) ?? [];
  if (adding?.opType !== 'Add' || adding.domain !== '' || another) return undefined;
  if (graph.outputs.some(({ name }) => name === value)) return undefined;
  const bias = floatConstantOf(
    graph,
    adding.inputs.find((input) => input !== value),
  );
  const isBias = bias?.dims.length === 1 && bias.dims[0] === weights.dims[1] && floatView(bias).every(Number.isFinite);
  return isBias ? { bias, adding } : undefined; // a mask of −∞ is none
}

function consumersByValue(nodes: readonly Node[]): Consumers {
  const consumers = new Map<string, Node[]>();
  for (const node of nodes) {
    for (const input of new Set(node.inputs)) {
      const others = consumers.get(input);
      if (others) others.push(node);
      else consumers.set(input, [node]);
    }
  }
  return consumers;
}

function groupsOf(
  graph: Graph,
  nodes: readonly Node[],
  layers: ReadonlyMap<Node, QuantizedLayer>,
  consumers: Consumers,
): Group[] {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const mayAbsorb = !nodes.some(holdsGraph); // an inner graph could read what lies before a clamp
  const clamps = new Set<Node>();
  return nodes.flatMap((node): Group[] => {
    if (clamps.has(node)) return [];
    const kind = layers.has(node) ? 'layer' : kindOf(node);
    const value = node.outputs[0]!;
    const [clamp, another] = consumers.get(value) ?? [];
    const bounds = clamp && boundsOf(graph, clamp);
    if (!mayAbsorb || kind === 'moving' || !bounds || another || outputs.has(value) || clamp.inputs[0] !== value) {
      return [{ kind, node, clamp: undefined, value }];
    }
    clamps.add(clamp);
    return [{ kind, node, clamp: { clamp, bounds }, value: clamp.outputs[0]! }];
  });
}

function kindOf({ domain, opType, inputs, outputs }: Node): Group['kind'] {
  if (domain !== '' || outputs.slice(1).some((name) => name !== '')) return 'other';
  if (moving.has(opType)) return opType === 'Dropout' && !isLeftOut(inputs[2]) ? 'other' : 'moving';
  if (opType === 'Sum' && inputs.length !== 2) return 'other';
  return joining.has(opType) ? 'joining' : 'other';
}

/** What Relu and Clip keep values within, where that holds 0, as every range of eight bits does. */
function boundsOf(graph: Graph, { domain, opType, inputs, attributes }: Node): Bounds | undefined {
  if (domain !== '') return undefined;
  if (opType === 'Relu') return { min: 0, max: Infinity };
  if (opType !== 'Clip') return undefined;
  const [min, max] = (['min', 'max'] as const).map((name, i) => {
    const otherwise = name === 'min' ? -Infinity : Infinity;
    const found = attributes.get(name);
    if (found) return found.kind === 'float' ? found.value : NaN;
    if (isLeftOut(inputs[i + 1])) return otherwise;
    const constant = floatConstantOf(graph, inputs[i + 1]);
    return constant ? floatsOf(constant)[0]! : NaN;
  });
  return min! <= 0 && max! >= 0 ? { min: min!, max: max! } : undefined;
}

/** Values that cost little in eight bits: what layers take and give, and what follows from such values alone. */
function eligibleValues(groups: readonly Group[], layers: ReadonlyMap<Node, QuantizedLayer>): ReadonlySet<string> {
  const eligible = new Set([...layers.keys()].map(({ inputs }) => inputs[0]!));
  for (const group of groups) {
    if (group.kind === 'layer' || follows(group, eligible)) eligible.add(group.value);
  }
  return eligible;
}

/** Whether a group between layers can stay in eight bits. */
const follows = ({ kind, node }: Group, eligible: ReadonlySet<string>) =>
  (kind === 'moving' || kind === 'joining') && operandsOf(node, kind).every((input) => eligible.has(input));

/** The inputs that hold numbers to compute with; the others of moving operators and clamps are sizes and bounds. */
const operandsOf = ({ opType, inputs }: Node, kind: Group['kind']) =>
  kind === 'moving' || opType === 'Clip' ? inputs.slice(0, 1) : inputs;

/** Of those eligible what a layer needs, directly or through others; and what convolutions give, producers first. */
function quantizedValues(
  graph: Graph,
  groups: readonly Group[],
  eligible: ReadonlySet<string>,
  following: ReadonlySet<Group>,
  consumers: Consumers,
): ReadonlySet<string> {
  const groupOf = new Map(groups.map((group) => [group.node, group]));
  const backwards = new Set<string>();
  const isNeeded = (value: string) =>
    (consumers.get(value) ?? []).some((user) => {
      const group = groupOf.get(user);
      if (group?.kind === 'layer') return user.inputs[0] === value;
      return group !== undefined && following.has(group) && backwards.has(group.value);
    });
  const isGiven = (group: Group | undefined) => group?.kind === 'layer' && group.node.opType === 'Conv';

  const made = groups.flatMap((group) => [
    { value: group.value, group },
    ...group.node.outputs.slice(1).map((value) => ({ value, group: undefined })),
  ]);
  const taken = graph.inputs.map(({ name }) => ({ value: name, group: undefined }));
  for (const { value, group } of [...taken, ...made].reverse()) {
    if (eligible.has(value) && (isGiven(group) || isNeeded(value))) backwards.add(value);
  }
  return new Set([...backwards].reverse());
}
