import { examplesFirst, examplesLast } from './examples-last.js';
import { reduceBy, reshape, sameShape, transpose } from './ops.js';
import { tiles } from './pooling-gradients.js';
import { topological } from './topological.js';
import { operation, size } from './value.js';
import type { Operation, Shape, Value } from './value.js';
import { windowsOf } from './windows.js';

/**
 * Convolutions over all examples of a batch read and write them last. Where what lies between two of them works on each
 * element, reduces, or pools windows that tile the map, it does so with the examples last as well, and nothing is turned
 * around between. Gives for each value that is made so, or read so, its form; `fasterOf` gives those of convolutions.
 */
export function examplesLastForms(
  roots: readonly Value[],
  fasterOf: (value: Value) => Value | undefined,
): (value: Value) => Value | undefined {
  const order = topological(roots);
  const forms = order.flatMap((value) => fasterOf(value) ?? []);
  const turned = new Map<Value, Value>();
  for (const value of topological([...roots, ...forms])) if (value.turnedFrom) turned.set(value.turnedFrom, value);
  const made = new Map<Value, Value>();
  const known: Layout = {
    made: (value) => made.get(value),
    last: (value) => made.get(value) ?? turned.get(value) ?? ofTurned(value, turned) ?? examplesLast(value),
  };
  for (const value of order) {
    const last = value.madeFrom ?? fasterOf(value)?.madeFrom ?? madeLast(value, known);
    if (last) made.set(value, last);
  }
  return (value) => {
    if (value.turnedFrom) return made.get(value.turnedFrom);
    const last = made.get(value);
    if (last && !value.madeFrom) return examplesFirst(last, value.shape);
    return value.source.kind === 'operation' ? reduced(value, value.source.operation, known) : undefined;
  };
}

interface Layout {
  /** A value with the examples last, where it is made so. */
  made(value: Value): Value | undefined;
  /** The same, turned around where it is not. */
  last(value: Value): Value;
}

/** What is computed of one value that is turned anyway: of that. */
function ofTurned(value: Value, turned: ReadonlyMap<Value, Value>): Value | undefined {
  const { source, shape } = value;
  if (source.kind !== 'operation' || !isElementWise(source.operation)) return undefined;
  const whole = new Set(source.operation.inputs.filter((input) => input && sameShape(input.shape, shape)));
  const made = (operand: Value) => turned.get(operand);
  return whole.size === 1 ? elementsLast(value, source.operation, { made, last: examplesLast }) : undefined;
}

/** They give for each element one of the same place. */
const elementWise: ReadonlySet<string> = new Set(
  'Abs Add Cast Clip Div Elu Equal Erf Exp Greater GreaterOrEqual HardSigmoid HardSwish LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg PRelu Pow Reciprocal Relu Selu Sigmoid Sign Softplus Sqrt Sub Tanh ThresholdedRelu Where'.split(
    ' ',
  ),
);

const isElementWise = ({ opType, domain, outputs }: Operation): boolean =>
  elementWise.has(opType) && domain === '' && outputs[0]!.shape.length >= 3;

function madeLast(value: Value, known: Layout): Value | undefined {
  const { source } = value;
  if (source.kind !== 'operation') return undefined;
  const { operation: of, index } = source;
  if (isElementWise(of)) return elementsLast(value, of, known);
  const pool = pools.get(of.opType);
  if (pool) return index === 0 ? pooledLast(value, of, pool, known) : undefined;
  return reducedLast(value, of, known);
}

/** An operator on each element, where one of its operands is made with the examples last. */
function elementsLast({ shape, dataType }: Value, of: Operation, known: Layout): Value | undefined {
  const operands = of.inputs.filter((input) => input !== undefined);
  const whole = operands.filter((input) => sameShape(input.shape, shape));
  const spreads = new Map(whole.map((input) => [input, spreadOf(input, known)]));
  if (!whole.some((input) => known.made(input) ?? spreads.get(input))) return undefined;
  const [batch = 0, channels = 0, ...spatial] = shape;
  const spread = [...spreads.values()].find((found) => found !== undefined);
  const widths = spread?.widths ?? [];
  if ([...spreads.values()].some((other) => other && !sameShape(other.widths, widths))) return undefined;
  // where an operand is spread over windows, each axis is two: the windows, and the places of each
  const apart = (count: number, i: number, width: number) => (spread ? [count / widths[i]!, width] : [count]);
  const dims = [channels, ...(spread ? spatial.flatMap((n, i) => apart(n, i, widths[i]!)) : [size(spatial)]), batch];
  const inputs = of.inputs.map((input) => {
    if (input === undefined) return undefined;
    const found = spreads.get(input);
    if (found) return reshape(found.last, [channels, ...spatial.flatMap((n, i) => apart(n, i, 1)), batch]);
    if (sameShape(input.shape, shape)) return reshape(known.last(input), dims);
    return smallLast(input, shape, dims, known);
  });
  if (inputs.some((input, i) => input === undefined && of.inputs[i] !== undefined)) return undefined;
  const [made] = operation({ ...of, inputs, node: '' }, [{ dataType, shape: dims }]);
  return reshape(made!, [channels, size(spatial), batch]);
}

/** An operand that is broadcast: the same number everywhere, or one for each channel, and perhaps for each example. */
function smallLast(input: Value, shape: Shape, dims: Shape, known: Layout): Value | undefined {
  const padded = [...Array<number>(shape.length - input.shape.length).fill(1), ...input.shape];
  const [examples = 1, channels = 1, ...rest] = padded;
  if (rest.some((n) => n !== 1)) return undefined;
  const last = examples === 1 ? input : known.last(input);
  return reshape(last, size(padded) === 1 ? [] : [channels, ...dims.slice(2).map(() => 1), examples]);
}

/** A Resize that repeats each place `widths` times, of something made with the examples last. */
function spreadOf({ source, shape }: Value, known: Layout): { last: Value; widths: Shape } | undefined {
  if (source.kind !== 'operation' || source.operation.opType !== 'Resize') return undefined;
  const { inputs, attributes } = source.operation;
  const [x, , scales] = inputs;
  const last = x && known.made(x);
  const word = (name: string) => {
    const found = attributes.get(name);
    return found?.kind === 'string' ? found.value : undefined;
  };
  const nearest =
    word('mode') === 'nearest' &&
    word('coordinate_transformation_mode') === 'asymmetric' &&
    word('nearest_mode') === 'floor';
  if (!last || !nearest || scales?.source.kind !== 'constant') return undefined;
  const [ofExamples, ofChannels, ...widths] = Array.from(scales.source.values);
  const whole = widths.every((width, i) => Number.isInteger(width) && x.shape[i + 2]! * width === shape[i + 2]);
  return whole && ofExamples === 1 && ofChannels === 1 ? { last, widths } : undefined;
}

/** What they do to a window. */
const pools: ReadonlyMap<string, string> = new Map([
  ['MaxPool', 'ReduceMax'],
  ['AveragePool', 'ReduceMean'],
]);

/** A pool whose windows tile the map: axis after axis, the rows of all examples at once. */
function pooledLast({ shape }: Value, of: Operation, reduction: string, known: Layout): Value | undefined {
  const [x] = of.inputs;
  const last = x && known.made(x);
  if (!last) return undefined;
  const windows = windowsOf(of, x.shape);
  if (!tiles(x.shape, windows)) return undefined;
  const [batch = 0, channels = 0, ...spatial] = x.shape;
  const places = [...spatial];
  let pooled = last;
  windows.kernel.forEach((width, axis) => {
    const before = channels * size(places.slice(0, axis));
    const after = size(places.slice(axis + 1)) * batch;
    const windowsOfAxis = places[axis]! / width;
    pooled = reduceBy(reduction)(reshape(pooled, [before * windowsOfAxis, width, after]), [1], false);
    places[axis] = windowsOfAxis;
  });
  return reshape(pooled, [channels, size(shape.slice(2)), batch]);
}

const reductions: ReadonlySet<string> = new Set(
  'ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare'.split(' '),
);

/** A reduction over all places that keeps their axes. */
function reducedLast({ shape }: Value, of: Operation, known: Layout): Value | undefined {
  const [x] = of.inputs;
  const last = x && known.made(x);
  if (!last || shape.length !== x.shape.length || reducedOf(x, of) !== 'places') return undefined;
  const [batch = 0, channels = 0] = shape;
  return reshape(reduceBy(reductionOf(of))(last, [1], false), [channels, 1, batch]);
}

/** A reduction over all places, or all places of all examples, of something made with the examples last. */
function reduced({ shape }: Value, of: Operation, known: Layout): Value | undefined {
  const [x] = of.inputs;
  const last = x && known.made(x);
  if (!last) return undefined;
  const over = reducedOf(x, of);
  const reduce = reduceBy(reductionOf(of));
  if (over === 'places') return reshape(transpose(reduce(last, [1], false), [1, 0]), shape);
  return over === 'examples' ? reshape(reduce(last, [1, 2], false), shape) : undefined;
}

const reductionOf = ({ opType }: Operation): string => (opType === 'GlobalAveragePool' ? 'ReduceMean' : opType);

/** What a reduction of x [n, c, …spatial] goes over: all places of each example, or of all examples. */
function reducedOf(x: Value, { opType, inputs }: Operation): 'places' | 'examples' | undefined {
  const spatial = [...x.shape.keys()].slice(2);
  if (opType === 'GlobalAveragePool') return 'places';
  const axes = inputs[1]?.source;
  if (!reductions.has(opType) || axes?.kind !== 'constant') return undefined;
  const over = Array.from(axes.values, (axis) => (axis < 0 ? axis + x.shape.length : axis)).sort((a, b) => a - b);
  if (sameShape(over, spatial)) return 'places';
  return sameShape(over, [0, ...spatial]) ? 'examples' : undefined;
}
