import type { Attribute, DataType, Node, Tensor } from './model.js';
import { axisOf, broadcast } from './shape-question.js';
import type { StaticType } from './shape-question.js';
import { elementCount, floatTensor, floatsOf, int64Tensor, intTensor, intsOf } from './tensor.js';

/** Shapes, axes and the like are small; what is larger is no business of shape inference. */
const mostElements = 4096;

interface Known {
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

interface Folding {
  readonly node: Node;
  readonly x: readonly (Known | undefined)[];
  /** Types of the inputs, known even where their values are not. */
  readonly types: readonly (StaticType | undefined)[];
  readonly output: StaticType;
  int(name: string, otherwise: number): number;
  list(position: number, name: string): readonly number[] | undefined;
}

type Fold = (folding: Folding) => readonly number[] | undefined;

const whole = (dataType: DataType) => dataType !== 'float' && dataType !== 'double';

/** Element by element, with broadcasting. */
const eachOf =
  (of: (a: number, b: number, c: number, dataType: DataType) => number): Fold =>
  ({ x, output: { shape, dataType } }) => {
    const [a, b = a, c = a] = x.map((operand) => operand && stretched(operand, shape));
    if (!a || !b || !c || x.includes(undefined)) return undefined;
    return a.map((value, i) => of(value, b[i]!, c[i]!, dataType));
  };

const sameValues: Fold = ({ x: [x] }) => x?.values;

/** The values of operators that compute shapes from shapes, which exporters leave in their graphs. */
const folds: Readonly<Record<string, Fold>> = {
  Shape: ({ types: [type], int }) => {
    if (!type) return undefined;
    const rank = type.shape.length;
    const place = (at: number) => Math.min(Math.max(at < 0 ? at + rank : at, 0), rank);
    return type.shape.slice(place(int('start', 0)), place(int('end', rank)));
  },
  Size: ({ types: [type] }) => type && [elementCount(type.shape)],
  Identity: sameValues,
  Reshape: sameValues,
  Squeeze: sameValues,
  Unsqueeze: sameValues,
  Flatten: sameValues,
  Cast: ({ x: [x], output: { dataType } }) => {
    if (dataType === 'bool') return x?.values.map((value) => Number(value !== 0));
    return whole(dataType) ? x?.values.map(Math.trunc) : x?.values;
  },
  Neg: eachOf((a) => -a),
  Abs: eachOf(Math.abs),
  Floor: eachOf(Math.floor),
  Ceil: eachOf(Math.ceil),
  Not: eachOf((a) => Number(a === 0)),
  Add: eachOf((a, b) => a + b),
  Sub: eachOf((a, b) => a - b),
  Mul: eachOf((a, b) => a * b),
  Div: eachOf((a, b, _, dataType) => (whole(dataType) ? Math.trunc(a / b) : a / b)),
  Min: eachOf((a, b) => Math.min(a, b)),
  Max: eachOf((a, b) => Math.max(a, b)),
  Equal: eachOf((a, b) => Number(a === b)),
  Greater: eachOf((a, b) => Number(a > b)),
  Less: eachOf((a, b) => Number(a < b)),
  Where: eachOf((condition, a, b) => (condition === 0 ? b : a)),
  Expand: ({ x: [x], output }) => x && stretched(x, output.shape),
  Range: ({ x: [start, , delta], output: { shape } }) =>
    start && delta && Array.from({ length: shape[0] ?? 0 }, (_, i) => start.values[0]! + i * delta.values[0]!),
  ConstantOfShape: ({ node, output: { shape } }) => {
    const value = node.attributes.get('value');
    return Array<number>(elementCount(shape)).fill(value?.kind === 'tensor' ? numbersOf(value.value)[0]! : 0);
  },
  Concat: ({ x, output: { shape } }) => {
    if (shape.length !== 1 || x.includes(undefined)) return undefined;
    return x.flatMap((part) => part?.values ?? []);
  },
  Gather: ({ x: [data, indices], int }) => {
    if (!data || !indices || int('axis', 0) !== 0 || data.dims.length !== 1) return undefined;
    return indices.values.map((index) => data.values[axisOf(index, data.dims[0]!)]!);
  },
  Slice: ({ x: [data], list, output: { shape } }) => {
    const starts = list(1, 'starts');
    if (!data || !starts) return undefined;
    const axes = list(3, 'axes') ?? [...starts.keys()];
    const steps = list(4, 'steps') ?? [];
    const first = data.dims.map(() => 0);
    const step = data.dims.map(() => 1);
    axes.forEach((stated, i) => {
      const axis = axisOf(stated, data.dims.length);
      const length = data.dims[axis]!;
      const start = starts[i]! < 0 ? starts[i]! + length : starts[i]!;
      step[axis] = steps[i] ?? 1;
      first[axis] = Math.min(Math.max(start, 0), step[axis]! > 0 ? length : length - 1);
    });
    return picked(data, shape, (place) => place.map((at, axis) => first[axis]! + at * step[axis]!));
  },
  // exporters write the padding of every axis last axis first
  Transpose: ({ x: [data], list, output: { shape } }) => {
    if (!data) return undefined;
    const perm = list(1, 'perm') ?? [...data.dims.keys()].reverse();
    return picked(data, shape, (place) => data.dims.map((_, axis) => place[perm.indexOf(axis)]!));
  },
  ReduceProd: ({ x: [x], output }) =>
    elementCount(output.shape) === 1 ? x && [x.values.reduce((product, value) => product * value, 1)] : undefined,
};

/** A node's only output, where it is small and follows from constants and shapes alone. */
export function foldSmall(
  node: Node,
  output: StaticType | undefined,
  typeOf: (value: string) => StaticType | undefined,
  constantOf: (value: string) => Tensor | undefined,
): Tensor | undefined {
  const fold = Object.hasOwn(folds, node.opType) ? folds[node.opType] : undefined;
  const name = node.outputs[0];
  if (!fold || !output || name === undefined || elementCount(output.shape) > mostElements) return undefined;
  const x = node.inputs.map((input) => knownOf(constantOf(input)));
  const values = fold({
    node,
    x,
    types: node.inputs.map(typeOf),
    output,
    int: (attribute, otherwise) => intOf(node.attributes.get(attribute)) ?? otherwise,
    list(position, attribute) {
      const found = node.attributes.get(attribute);
      return found?.kind === 'ints' ? found.value : x[position]?.values;
    },
  });
  if (values?.length !== elementCount(output.shape)) return undefined;
  if (whole(output.dataType) && !values.every(Number.isFinite)) return undefined; // a division by 0, which has no integer
  return tensorOf(name, output, values);
}

const intOf = (attribute: Attribute | undefined) => (attribute?.kind === 'int' ? attribute.value : undefined);

function knownOf(tensor: Tensor | undefined): Known | undefined {
  if (!tensor || elementCount(tensor.dims) > mostElements || !foldable(tensor.dataType)) return undefined;
  return { dims: tensor.dims, values: numbersOf(tensor) };
}

const foldable = (dataType: DataType) => ['float', 'int64', 'int32', 'bool'].includes(dataType);

const numbersOf = (tensor: Tensor): number[] =>
  tensor.dataType === 'float' ? Array.from(floatsOf(tensor)) : intsOf(tensor);

function tensorOf(name: string, { dataType, shape }: StaticType, values: readonly number[]): Tensor | undefined {
  switch (dataType) {
    case 'float':
      return floatTensor(name, shape, values);
    case 'int64':
      return int64Tensor(name, shape, values);
    case 'int32':
      return intTensor(name, dataType, shape, values);
    case 'bool':
      return { name, dataType, dims: shape, bytes: Uint8Array.from(values) };
    default:
      return undefined;
  }
}

/** The elements of a shape, each from the place in `data` that `from` gives for its own. */
function picked(
  { dims, values }: Known,
  shape: readonly number[],
  from: (place: readonly number[]) => readonly number[],
): number[] {
  return Array.from({ length: elementCount(shape) }, (_, flat) => {
    let rest = flat;
    const place = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    const at = from(place).reduce((sum, index, axis) => sum * dims[axis]! + index, 0);
    return values[at]!;
  });
}

/** The values a tensor has when it is broadcast to a shape. */
function stretched({ dims, values }: Known, shape: readonly number[]): number[] | undefined {
  if (broadcast(dims, shape).length !== shape.length || elementCount(shape) > mostElements) return undefined;
  const lead = shape.length - dims.length;
  return Array.from({ length: elementCount(shape) }, (_, flat) => {
    let at = 0;
    let stride = 1;
    for (let axis = shape.length - 1, rest = flat; axis >= lead; axis--) {
      const size = dims[axis - lead]!;
      at += size === 1 ? 0 : (rest % shape[axis]!) * stride;
      stride *= size;
      rest = Math.floor(rest / shape[axis]!);
    }
    return values[at]!;
  });
}
