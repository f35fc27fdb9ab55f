import { constantsOf } from './constants-of.js';
import { examplesFirst, examplesLast, madeFrom, turnedFrom } from './examples-last.js';
import { reduceBy, reshape, sameShape, transpose } from './ops.js';
import { tiles } from './pooling-gradients.js';
import { spreadsAmong } from './spread-operands.js';
import { topological } from './topological.js';
import { operation, size } from './value.js';
import type { Operation, Shape, Value } from './value.js';
import { windowsOf } from './windows.js';

/**
 * Convolutions over all examples of a batch read and write them last. Where what lies between two of them works on each
 * element, reduces, or pools windows that tile the map, it does so with the examples last as well, and nothing is turned
 * around between. Gives for each value that is made so, or read so, its form; `fasterOf` gives those of convolutions, and
 * `owned` has the parts of a form named after its value.
 */
export function examplesLastForms(
  roots: readonly Value[],
  fasterOf: (value: Value) => Value | undefined,
  owned: (form: Value | undefined, value: Value) => Value | undefined,
): (value: Value) => Value | undefined {
  const order = topological(roots);
  const read = new Set(order);
  const turned = new Map<Value, Value>();
  for (const value of topological([...roots, ...order.flatMap((value) => fasterOf(value) ?? [])])) {
    const first = turnedFrom(value);
    if (first) turned.set(first, value);
  }
  const made = new Map<Value, Value>();
  const at: Lookup = {
    made: (value) => made.get(value),
    last(value) {
      const known = made.get(value) ?? turned.get(value);
      if (known) return known;
      const last = owned(ofTurned(value, turned), value) ?? examplesLast(value);
      turned.set(value, last);
      return last;
    },
    isRead: (value) => read.has(value),
  };
  for (const value of order) {
    const form = fasterOf(value) ?? value;
    const last = madeFrom(form) ?? owned(madeLast(value, at), value);
    if (last) made.set(value, last);
  }
  return (value) => {
    const first = turnedFrom(value);
    if (first) return made.get(first);
    const last = made.get(value);
    if (last) return madeFrom(value) ? undefined : owned(examplesFirst(last, value.shape), value);
    return value.source.kind === 'operation' ? owned(reduced(value, value.source.operation, at), value) : undefined;
  };
}

interface Lookup {
  /** A value with the examples last, where it is made so. */
  made(value: Value): Value | undefined;
  /** The same, turned around where it is not. */
  last(value: Value): Value;
  /** Whether the step reads it. */
  isRead(value: Value): boolean;
}

/** What is computed of one value that is turned anyway: of that. */
function ofTurned(value: Value, turned: ReadonlyMap<Value, Value>): Value | undefined {
  const { source, shape } = value;
  if (source.kind !== 'operation' || !isElementWise(source.operation)) return undefined;
  const whole = new Set(source.operation.inputs.filter((input) => input && sameShape(input.shape, shape)));
  const at = { made: (operand: Value) => turned.get(operand), last: examplesLast, isRead: () => true };
  return whole.size === 1 ? elementsLast(value, source.operation, at) : undefined;
}

/** They give for each element one of the same place. */
const elementWise: ReadonlySet<string> = new Set(
  [
    'Abs Add And Cast Ceil Clip Cos Div Elu Equal Erf Exp Floor Greater GreaterOrEqual HardSigmoid HardSwish Identity',
    'LeakyRelu Less LessOrEqual Log Max Min Mish Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin',
    'Softplus Softsign Sqrt Sub Tanh ThresholdedRelu Where',
  ].flatMap((names) => names.split(' ')),
);

const isElementWise = ({ opType, domain, outputs }: Operation): boolean =>
  elementWise.has(opType) && domain === '' && outputs[0]!.shape.length >= 3;

function madeLast(value: Value, at: Lookup): Value | undefined {
  const { source } = value;
  if (source.kind !== 'operation' || source.operation.domain !== '') return undefined;
  const { operation: of, index } = source;
  if (isElementWise(of)) return elementsLast(value, of, at);
  const pool = pools.get(of.opType);
  if (!pool) return reducedLast(value, of, at);
  // with its positions, the operator gives both
  return index === 0 && !of.outputs.slice(1).some(at.isRead) ? pooledLast(value, of, pool, at) : undefined;
}

/** An operator on each element, where one of its operands is made with the examples last. */
function elementsLast({ shape, dataType }: Value, of: Operation, at: Lookup): Value | undefined {
  const whole = of.inputs.filter((input) => input !== undefined && sameShape(input.shape, shape)) as Value[];
  const spread = spreadsAmong(whole, at.made);
  if (!spread || !whole.some((input) => at.made(input) ?? spread.found.get(input))) return undefined;
  const [batch = 0, channels = 0, ...spatial] = shape;
  const dims = [channels, ...spread.axes(spatial), batch];
  const inputs: (Value | undefined)[] = [];
  for (const input of of.inputs) {
    const rows = input && spread.found.get(input);
    const last = rows
      ? reshape(rows, [channels, ...spread.narrowAxes(spatial), batch])
      : input && (sameShape(input.shape, shape) ? reshape(at.last(input), dims) : smallLast(input, shape, dims, at));
    if (input && !last) return undefined;
    inputs.push(last);
  }
  const { opType, attributes } = of;
  const [result] = operation({ opType, attributes, inputs }, [{ dataType, shape: dims }]);
  return reshape(result!, [channels, size(spatial), batch]);
}

/** An operand that is broadcast: the same number everywhere, or one for each channel, and perhaps for each example. */
function smallLast(input: Value, shape: Shape, dims: Shape, at: Lookup): Value | undefined {
  const padded = [...Array<number>(shape.length - input.shape.length).fill(1), ...input.shape];
  const [examples = 1, channels = 1, ...rest] = padded;
  if (rest.some((n) => n !== 1)) return undefined;
  const last = examples === 1 ? input : at.last(input);
  return reshape(last, size(padded) === 1 ? [] : [channels, ...dims.slice(2).map(() => 1), examples]);
}

/** What they do to a window. */
const pools: ReadonlyMap<string, string> = new Map([
  ['MaxPool', 'ReduceMax'],
  ['AveragePool', 'ReduceMean'],
]);

/** A pool whose windows tile the map: axis after axis, the rows of all examples at once. */
function pooledLast({ shape }: Value, of: Operation, reduction: string, at: Lookup): Value | undefined {
  const [x] = of.inputs;
  const last = x && at.made(x);
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
function reducedLast({ shape }: Value, of: Operation, at: Lookup): Value | undefined {
  const [x] = of.inputs;
  const last = x && at.made(x);
  if (!last || shape.length !== x.shape.length || reducedOf(x, of) !== 'places') return undefined;
  const [batch = 0, channels = 0] = shape;
  return reshape(reduceBy(reductionOf(of))(last, [1], false), [channels, 1, batch]);
}

/** A reduction over all places, or all places of all examples, of something made with the examples last. */
function reduced({ shape }: Value, of: Operation, at: Lookup): Value | undefined {
  const [x] = of.inputs;
  const last = x && at.made(x);
  if (!last) return undefined;
  const over = reducedOf(x, of);
  const reduce = reduceBy(reductionOf(of));
  if (over === 'places') return reshape(transpose(reduce(last, [1], false), [1, 0]), shape);
  return over === 'examples' ? reshape(reduce(last, [1, 2], false), shape) : undefined;
}

const reductionOf = ({ opType }: Operation): string => (opType === 'GlobalAveragePool' ? 'ReduceMean' : opType);

/** What a reduction of x [n, c, …spatial] goes over: all places of each example, or of all examples. */
function reducedOf(x: Value, { opType, domain, inputs }: Operation): 'places' | 'examples' | undefined {
  const spatial = [...x.shape.keys()].slice(2);
  if (domain !== '') return undefined;
  if (opType === 'GlobalAveragePool') return 'places';
  if (!reductions.has(opType)) return undefined;
  const over = constantsOf(inputs[1])
    .map((axis) => (axis < 0 ? axis + x.shape.length : axis))
    .sort((a, b) => a - b);
  if (sameShape(over, spatial)) return 'places';
  return sameShape(over, [0, ...spatial]) ? 'examples' : undefined;
}
