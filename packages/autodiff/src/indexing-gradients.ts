import type { Attribute } from '@modelmill/onnx';
import { UnsupportedOpError } from './errors.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import { concat, expand, int, make, reshape, transpose, zeros } from './ops.js';
import { constant } from './value.js';
import type { Shape, Value } from './value.js';

const adding: Readonly<Record<string, Attribute>> = { reduction: { kind: 'string', value: 'add' } };

const scatterNd = (shape: Shape, at: Value, g: Value): Value =>
  make('ScatterND', [zeros(shape), at, g], shape, g.dataType, adding);

const scatterElements = (shape: Shape, at: Value, g: Value, axis: number): Value =>
  make('ScatterElements', [zeros(shape), at, g], shape, g.dataType, { ...adding, axis: int(axis) });

const positive = (axis: number, { shape }: Value) => (axis < 0 ? axis + shape.length : axis);

/** How a scatter joins what it writes with what was there. Those that multiply or compare have no rule. */
function reductionOf({ operation }: GradientQuestion): 'none' | 'add' {
  const found = operation.attributes.get('reduction');
  const word = found?.kind === 'string' ? found.value : 'none';
  if (word === 'none' || word === 'add') return word;
  throw new UnsupportedOpError(operation.opType, operation.node, `has no gradient for reduction '${word}'`);
}

/** Operators that look elements up, or write them, by indices. */
export const indexingGradients: Readonly<Record<string, GradientRule>> = {
  Gather: ({ x: [data, indices], g, int: intOf }) => {
    const axis = positive(intOf('axis', 0), data!);
    const at = reshape(indices!, [...indices!.shape, 1]);
    if (axis === 0) return [() => scatterNd(data!.shape, at, g)];
    return [
      () => {
        // the axis comes to the front, is scattered along, and goes back
        const looked = indices!.shape.length;
        const rest = [...data!.shape.keys()].filter((i) => i !== axis);
        const ofG = rest.map((i) => (i < axis ? i : i + looked - 1));
        const front = transpose(g, [...Array.from({ length: looked }, (_, i) => axis + i), ...ofG]);
        const scattered = scatterNd([data!.shape[axis]!, ...rest.map((i) => data!.shape[i]!)], at, front);
        const back = data!.shape.map((_, i) => (i === axis ? 0 : rest.indexOf(i) + 1));
        return transpose(scattered, back);
      },
    ];
  },
  GatherElements: ({ x: [data, indices], g, int: intOf }) => [
    () => scatterElements(data!.shape, indices!, g, positive(intOf('axis', 0), data!)),
  ],
  GatherND: ({ x: [data, indices], g, int: intOf }) => [
    () => scatterNd(data!.shape, withBatch(indices!, intOf('batch_dims', 0)), g),
  ],
  ScatterElements: (question) => {
    const { x, g, int: intOf } = question;
    const [data, indices, updates] = x;
    const axis = int(positive(intOf('axis', 0), data!));
    const keeps = reductionOf(question) === 'add';
    return [
      () => (keeps ? g : make('ScatterElements', [g, indices, zeros(updates!.shape)], g.shape, g.dataType, { axis })),
      undefined,
      () => make('GatherElements', [g, indices], indices!.shape, g.dataType, { axis }),
    ];
  },
  ScatterND: (question) => {
    const { x, g } = question;
    const [, indices, updates] = x;
    const keeps = reductionOf(question) === 'add';
    return [
      () => (keeps ? g : make('ScatterND', [g, indices, zeros(updates!.shape)], g.shape, g.dataType)),
      undefined,
      () => make('GatherND', [g, indices], updates!.shape, g.dataType),
    ];
  },
  TopK: ({ operation, x: [x], g, int: intOf }) => [
    () => scatterElements(x!.shape, operation.outputs[1]!, g, positive(intOf('axis', -1), x!)),
  ],
};

/** Indices [b…, q…, k] that count within their batch, as indices of the whole: [b…, q…, batchDims + k]. */
function withBatch(indices: Value, batchDims: number): Value {
  if (batchDims === 0) return indices;
  const places = indices.shape.slice(0, -1);
  const coordinates = Array.from({ length: batchDims }, (_, axis) => {
    const count = places[axis]!;
    const along = constant([...Array(count).keys()], [...places.map((_, i) => (i === axis ? count : 1)), 1], 'int64');
    return expand(along, [...places, 1]);
  });
  return concat([...coordinates, indices], places.length);
}

/** Operators that repeat, add up or rearrange elements along axes. */
export const arrangementGradients: Readonly<Record<string, GradientRule>> = {
  Tile: ({ x: [x], y, g }) => [
    () => {
      const apart = x!.shape.flatMap((length, axis) => [y.shape[axis]! / Math.max(1, length), length]);
      const axes = x!.shape.map((_, axis) => 2 * axis);
      const summed = make(
        'ReduceSum',
        [reshape(g, apart), constant(axes, [axes.length], 'int64')],
        x!.shape,
        g.dataType,
        {
          keepdims: int(0),
        },
      );
      return x!.shape.length === 0 ? g : summed;
    },
  ],
  CumSum: ({ operation, g, int: intOf }) => [
    () =>
      make('CumSum', [g, operation.inputs[1]], g.shape, g.dataType, {
        exclusive: int(intOf('exclusive', 0)),
        reverse: int(1 - intOf('reverse', 0)),
      }),
  ],
  SpaceToDepth: ({ x: [x], g, int: intOf }) => [
    () => make('DepthToSpace', [g], x!.shape, g.dataType, { blocksize: int(intOf('blocksize', 1)) }),
  ],
  DepthToSpace: ({ operation, x: [x], g, int: intOf }) => [
    () => {
      const [n = 0, channels = 0, height = 0, width = 0] = x!.shape;
      const block = intOf('blocksize', 1);
      const depth = channels / (block * block);
      const mode = operation.attributes.get('mode');
      const apart = reshape(g, [n, depth, height, block, width, block]);
      const columnsLast = mode?.kind === 'string' && mode.value === 'CRD';
      return reshape(transpose(apart, columnsLast ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]), x!.shape);
    },
  ],
};
