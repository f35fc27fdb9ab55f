import { OnnxFormatError, densify, floatView, subgraphsOf } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { weightInputs } from './weighted-layers.js';

/** Operators that give the numbers of their first input in another order, shape or type. */
const passingOn = new Set('Cast Expand Flatten Identity Reshape Slice Squeeze Transpose Unsqueeze'.split(' '));

/**
 * Throws OnnxFormatError where a weight is NaN or infinite, as a training that diverged leaves them: its scale would spoil
 * all that share it. What is no weight, such as a mask of −∞ that is added, may be so. Reads every weight once.
 */
export function expectFiniteWeights(model: Model): void {
  for (const { name, dims, values } of weightsOf(model)) {
    const first = firstOdd(values);
    if (first < 0) continue;
    const odd = values.filter((value) => !Number.isFinite(value)).length;
    throw new OnnxFormatError(
      `initializer '${name}' is NaN or infinite in ${odd} of its ${values.length} numbers, the first is ` +
        `${values[first]} at [${coordinates(first, dims).join(', ')}]: wants finite weights`,
    );
  }
}

/** Where the first is that is not finite; -1 where all are. */
function firstOdd(values: Readonly<Float32Array>): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value !== 0) return i; // Number.isFinite in a findIndex takes several times as long
  }
  return -1;
}

interface Numbers extends Pick<Tensor, 'name' | 'dims'> {
  readonly values: Readonly<Float32Array>;
}

/** Float constants that operators take as weights, in the order of the nodes, one in memory at a time. */
function* weightsOf(model: Model): Iterable<Numbers> {
  const graphs = withInner(model.graph);
  const nodes = graphs.flatMap((graph) => graph.nodes);
  const constants = new Map<string, Tensor>(graphs.flatMap((graph) => [...graph.initializers]));
  const producers = new Map<string, Node>();
  for (const node of nodes) {
    for (const output of node.outputs) producers.set(output, node);
    const value = node.opType === 'Constant' ? node.attributes.get('value') : undefined;
    if (value?.kind === 'tensor') constants.set(node.outputs[0]!, value.value);
  }
  const { sparseInitializers } = model.graph;
  if (sparseInitializers.size > 0) {
    const { initializers } = densify(model).graph;
    for (const name of sparseInitializers.keys()) constants.set(name, initializers.get(name)!);
  }

  const seen = new Set<Tensor>();
  for (const { opType, inputs } of nodes) {
    for (const place of weightInputs[opType] ?? []) {
      const name = sourceOf(inputs[place] ?? '', producers);
      const tensor = constants.get(name);
      if (!tensor || seen.has(tensor) || !['float', 'double'].includes(tensor.dataType)) continue;
      seen.add(tensor);
      yield { name, dims: tensor.dims, values: floatView(tensor) };
    }
  }
}

const withInner = (graph: Graph): Graph[] => [
  graph,
  ...graph.nodes.flatMap((node) => subgraphsOf(node).flatMap(withInner)),
];

/** What a value's numbers come from. */
function sourceOf(value: string, producers: ReadonlyMap<string, Node>): string {
  const producer = producers.get(value);
  return producer && passingOn.has(producer.opType) ? sourceOf(producer.inputs[0]!, producers) : value;
}

/** Of a place in row-major order. */
function coordinates(place: number, dims: readonly number[]): number[] {
  const found: number[] = [];
  let rest = place;
  for (const size of [...dims].reverse()) {
    found.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return found;
}
