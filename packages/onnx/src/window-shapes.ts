import { ShapeError } from './model.js';
import { sizes } from './quoted.js';
import { given, known } from './shape-question.js';
import type { ShapeQuestion } from './shape-question.js';

/** Sizes after windows slid over the spatial axes. */
function windows(
  { list, word, int }: ShapeQuestion,
  spatial: readonly number[],
  kernel: readonly number[],
): readonly number[] {
  const { strides, dilations, pads } = windowAttributes(list, spatial.length);
  const auto = word('auto_pad', 'NOTSET');
  return spatial.map((size, i) => {
    const stride = strides[i]!;
    if (auto.startsWith('SAME')) return Math.ceil(size / stride);
    const [before, after] = auto === 'VALID' ? [0, 0] : [pads[i]!, pads[spatial.length + i]!];
    const free = size + before + after - dilations[i]! * (kernel[i]! - 1) - 1;
    if (!(free >= 0)) throw new ShapeError(`a window of ${kernel[i]} does not fit into ${size + before + after}`);
    if (int('ceil_mode', 0) !== 1) return Math.floor(free / stride) + 1;
    const up = Math.ceil(free / stride) + 1;
    // a last window that would begin in the padding behind the data is left out
    return (up - 1) * stride >= size + before ? up - 1 : up;
  });
}

function windowAttributes(list: ShapeQuestion['list'], axes: number) {
  const ones = Array.from({ length: axes }, () => 1);
  const all = {
    strides: list('strides') ?? ones,
    dilations: list('dilations') ?? ones,
    pads: list('pads') ?? [...ones, ...ones].map(() => 0),
  };
  for (const [name, values] of Object.entries(all)) {
    const wanted = name === 'pads' ? 2 * axes : axes;
    if (values.length !== wanted) throw new ShapeError(`its ${name} are ${sizes(values)}, wants ${wanted} numbers`);
  }
  return all;
}

export function convShape(question: ShapeQuestion): number[] {
  const { shape } = known(question.x[0]);
  const weight = known(question.x[1]).shape;
  const groups = question.int('group', 1);
  if (shape.length !== weight.length || shape[1] !== weight[1]! * groups) {
    throw new ShapeError(`takes [n, ${weight[1]! * groups}, …] for a kernel of ${sizes(weight)}, got ${sizes(shape)}`);
  }
  return [shape[0]!, weight[0]!, ...windows(question, shape.slice(2), weight.slice(2))];
}

export function convTransposeShape({ x, list, int, word }: ShapeQuestion): number[] {
  const { shape } = known(x[0]);
  const weight = known(x[1]).shape;
  if (shape.length !== weight.length || shape[1] !== weight[0]) {
    throw new ShapeError(`takes [n, ${weight[0]}, …] for a kernel of ${sizes(weight)}, got ${sizes(shape)}`);
  }
  const kernel = weight.slice(2);
  const { strides, dilations, pads } = windowAttributes(list, kernel.length);
  const extra = list('output_padding') ?? kernel.map(() => 0);
  const auto = word('auto_pad', 'NOTSET');
  const spatial = (size: number, i: number) => {
    const around = auto === 'NOTSET' ? pads[i]! + pads[kernel.length + i]! : 0;
    return strides[i]! * (shape[2 + i]! - 1) + extra[i]! + dilations[i]! * (size - 1) + 1 - around;
  };
  const stated = list('output_shape')?.slice(-kernel.length);
  return [
    shape[0]!,
    weight[1]! * int('group', 1),
    ...(stated ?? kernel.map((size, i) => (auto.startsWith('SAME') ? shape[2 + i]! * strides[i]! : spatial(size, i)))),
  ];
}

export function poolShape(question: ShapeQuestion): number[] {
  const { shape } = known(question.x[0]);
  const kernel = given(question.list('kernel_shape'), 'kernel_shape');
  if (kernel.length !== shape.length - 2) {
    throw new ShapeError(`a window of ${sizes(kernel)} takes ${kernel.length + 2} axes, got ${sizes(shape)}`);
  }
  return [...shape.slice(0, 2), ...windows(question, shape.slice(2), kernel)];
}
