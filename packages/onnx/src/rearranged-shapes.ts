import { einsumTerms } from './einsum-terms.js';
import { ShapeError } from './model.js';
import { sizes } from './quoted.js';
import { axisOf, given, known } from './shape-question.js';
import type { ShapeQuestion, ShapeRule } from './shape-question.js';

/** Shape rules of operators that look up, rearrange, contract and resize. */
export const rearrangedShapes: Readonly<Record<string, ShapeRule>> = {
  GatherND: ({ x: [data, indices], int }) => {
    const { dataType, shape } = known(data);
    const of = known(indices).shape;
    const depth = of.at(-1) ?? 0;
    return [{ dataType, shape: [...of.slice(0, -1), ...shape.slice(int('batch_dims', 0) + depth)] }];
  },
  TopK: ({ x: [x], ints, int }) => {
    const { dataType, shape } = known(x);
    const axis = axisOf(int('axis', -1), shape.length);
    const count = ints(1)?.[0] ?? int('k', 1);
    const top = shape.map((size, i) => (i === axis ? count : size));
    return [
      { dataType, shape: top },
      { dataType: 'int64', shape: top },
    ];
  },
  DepthToSpace: ({ x: [x], int }) => {
    const { dataType, shape } = known(x);
    const [n = 0, channels = 0, height = 0, width = 0] = shape;
    const block = int('blocksize', 1);
    return [{ dataType, shape: [n, channels / block ** 2, height * block, width * block] }];
  },
  SpaceToDepth: ({ x: [x], int }) => {
    const { dataType, shape } = known(x);
    const [n = 0, channels = 0, height = 0, width = 0] = shape;
    const block = int('blocksize', 1);
    return [{ dataType, shape: [n, channels * block ** 2, height / block, width / block] }];
  },
  Einsum: ({ x, word }) => {
    const types = x.map(known);
    const equation = word('equation', '');
    const ranks = types.map(({ shape }) => shape.length);
    const { inputs, output } = einsumTerms(equation, ranks);
    const lengths = new Map<string, number>();
    inputs.forEach((term, i) => {
      if (term.length !== ranks[i]) throw new ShapeError(`'${equation}' takes ${term.length} axes, got ${ranks[i]}`);
      [...term].forEach((letter, axis) => {
        const length = types[i]!.shape[axis]!;
        const other = lengths.get(letter);
        if (other !== undefined && other !== 1 && length !== 1 && other !== length) {
          throw new ShapeError(`'${equation}' has ${other} and ${length} for index ${letter}`);
        }
        lengths.set(letter, other === undefined || other === 1 ? length : other);
      });
    });
    return [{ dataType: types[0]!.dataType, shape: [...output].map((letter) => lengths.get(letter)!) }];
  },
  Resize: (question) => [{ dataType: known(question.x[0]).dataType, shape: resizedShape(question, 2) }],
  Upsample: (question) => [{ dataType: known(question.x[0]).dataType, shape: resizedShape(question, 1) }],
};

function resizedShape({ x: [x], ints, floats, list, word }: ShapeQuestion, at: number): number[] {
  const { shape } = known(x);
  const policy = word('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') throw new ShapeError(`its keep_aspect_ratio_policy is ${policy}, which is not known here`);
  const axes = (list('axes') ?? [...shape.keys()]).map((axis) => axisOf(axis, shape.length));
  const scales = floats(at);
  const stated = scales && scales.length > 0 ? undefined : given(ints(3), 'sizes');
  const values = stated ?? scales!;
  if (values.length !== axes.length) throw new ShapeError(`it is told ${sizes(values)}, wants ${axes.length} numbers`);
  const resized = [...shape];
  axes.forEach((axis, i) => (resized[axis] = stated ? values[i]! : Math.floor(shape[axis]! * values[i]!)));
  return resized;
}
