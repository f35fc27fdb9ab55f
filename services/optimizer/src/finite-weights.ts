import { OnnxFormatError, densify, floatView, subgraphsOf } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { weightInputs } from './weighted-layers.js';

/** Operators that give the numbers of their first input in another order, shape or type. */
const passingOn = new Set(
  'Cast DequantizeLinear Expand Flatten Identity QuantizeLinear Reshape Slice Squeeze Transpose Unsqueeze'.split(' '),
);
/** Where a batch's statistics are; no training changes them, and every answer is divided by them. */
const statistics: Readonly<Record<string, readonly number[]>> = { BatchNormalization: [3, 4] };
/** What reads biases, scales and tables, among which masks of −∞ may be: NaN is never meant there. */
const mayBeInfinite = new Set(['Add', 'Sub', 'Mul', 'Div', 'Gather']);

/**
 * Throws OnnxFormatError where a weight is NaN or infinite, as a training that diverged leaves them: its scale would spoil
 * all that share it. What is added or looked up, such as a mask of −∞, may be infinite, but no NaN. Reads every weight once.
 */
export function expectFiniteWeights(model: Model): void {
  const { sparseInitializers } = model.graph;
  const sparse = new Map([...sparseInitializers].map(([name, { values }]) => [values, name]));
  for (const { tensor, name, isWeight } of constantsRead(model)) {
    const odd = oddOf(tensor, isWeight);
    if (!odd) continue;
    const inSparse = sparse.get(tensor);
    const whole = inSparse === undefined ? tensor : densify(model).graph.initializers.get(inSparse)!;
    const { first, count, length, value } = oddOf(whole, isWeight) ?? odd;
    throw new OnnxFormatError(
      `initializer '${name}' is ${isWeight ? 'NaN or infinite' : 'NaN'} in ${count} of its ${length} numbers, the first is ` +
        `${value} at [${coordinates(first, whole.dims).join(', ')}]: wants ${isWeight ? 'finite weights' : 'numbers'}`,
    );
  }
}

interface Odd {
  readonly first: number;
  readonly count: number;
  readonly length: number;
  readonly value: number;
}

/** The numbers that are NaN, or infinite where that counts, too; undefined where there are none. */
function oddOf(tensor: Tensor, orInfinite: boolean): Odd | undefined {
  const values = valuesOf(tensor);
  let [first, count] = [-1, 0];
  // in plain loops: Number.isFinite in a findIndex takes several times as long, and a filter holds what it finds
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (orInfinite ? value - value === 0 : value === value) continue;
    if (first < 0) first = i;
    count++;
  }
  return first < 0 ? undefined : { first, count, length: values.length, value: values[first]! };
}

const exponents: Readonly<Record<string, number>> = { float16: 0x7c00, bfloat16: 0x7f80 };

/** Halves as 0, ±∞ and NaN alone: what else they are is not asked. */
function valuesOf(tensor: Tensor): Readonly<Float32Array | Float64Array> {
  if (tensor.dataType === 'double') return new Float64Array(new Uint8Array(tensor.bytes).buffer);
  const exponent = exponents[tensor.dataType];
  if (exponent === undefined) return floatView(tensor);
  const aligned = new Uint8Array(tensor.bytes);
  return Float32Array.from(new Uint16Array(aligned.buffer), (bits) => {
    if ((bits & exponent) !== exponent) return 0;
    return (bits & 0x7fff) === exponent ? (bits >> 15 === 0 ? Infinity : -Infinity) : NaN;
  });
}

interface Read {
  readonly tensor: Tensor;
  readonly name: string;
  readonly isWeight: boolean;
}

/** What is known by name in a graph and those around it. */
interface Scope {
  readonly constants: Map<string, Tensor>;
  readonly producers: Map<string, Node>;
}

const floats: ReadonlySet<string> = new Set(['float', 'double', ...Object.keys(exponents)]);

/** Float constants that operators compute with, in the order of the nodes; each once, or a second time as a weight. */
function* constantsRead({ graph }: Model): Iterable<Read> {
  const seen = new Map<Tensor, boolean>();
  yield* readIn(graph, { constants: new Map(), producers: new Map() });

  function* readIn(of: Graph, outer: Scope): Iterable<Read> {
    const scope = { constants: new Map(outer.constants), producers: new Map(outer.producers) };
    for (const [name, tensor] of of.initializers) scope.constants.set(name, tensor);
    for (const [name, { values }] of of.sparseInitializers) scope.constants.set(name, values);
    for (const node of of.nodes) {
      for (const output of node.outputs) scope.producers.set(output, node);
      const value = node.opType === 'Constant' ? node.attributes.get('value') : undefined;
      if (value?.kind === 'tensor') scope.constants.set(node.outputs[0]!, value.value);
    }
    for (const node of of.nodes) {
      for (const [place, input] of node.inputs.entries()) {
        const isWeight = isWeightAt(node, place);
        if (!isWeight && !mayBeInfinite.has(node.opType)) continue;
        const name = sourceOf(input, scope.producers);
        const tensor = scope.constants.get(name);
        if (!tensor || !floats.has(tensor.dataType)) continue;
        const before = seen.get(tensor);
        if (before === true || before === isWeight) continue;
        seen.set(tensor, isWeight);
        yield { tensor, name, isWeight };
      }
      for (const inner of subgraphsOf(node)) yield* readIn(inner, scope);
    }
  }
}

const isWeightAt = ({ opType }: Node, place: number): boolean =>
  !mayBeInfinite.has(opType) &&
  (opType === 'Einsum' || [...(weightInputs[opType] ?? []), ...(statistics[opType] ?? [])].includes(place));

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
