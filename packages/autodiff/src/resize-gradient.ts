import { UnsupportedOpError } from './errors.js';
import { constantsOf } from './constants-of.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import { matMul, reshape } from './ops.js';
import { constant, size } from './value.js';
import type { Operation, Value } from './value.js';

/** What Resize does along one axis is a matrix [out, in]: its gradient is the product with it. */
export const resizeGradient: GradientRule = (question) => {
  const { operation, x, y, g } = question;
  const [input] = x;
  return [
    () => {
      let gradient = g;
      input!.shape.forEach((length, axis) => {
        if (length === y.shape[axis]) return;
        gradient = along(gradient, axis, matrixOf(operation, question, axis, length, y.shape[axis]!));
      });
      return gradient;
    },
  ];
};

/** The product of one axis with [out, in]. */
function along(
  g: Value,
  axis: number,
  { from, to, values }: { from: number; to: number; values: Float32Array },
): Value {
  const { shape } = g;
  const before = size(shape.slice(0, axis));
  const after = size(shape.slice(axis + 1));
  const wanted = shape.map((length, i) => (i === axis ? to : length));
  if (after === 1) return reshape(matMul(reshape(g, [before, from]), constant(values, [from, to])), wanted);
  const turned = Float32Array.from({ length: from * to }, (_, i) => values[(i % from) * to + Math.floor(i / from)]!);
  return reshape(matMul(constant(turned, [to, from]), reshape(g, [before, from, after])), wanted);
}

function matrixOf(operation: Operation, { word, int, float }: Words, axis: number, length: number, outputs: number) {
  const rank = operation.inputs[0]!.shape.length;
  const refuse = (why: string): never => {
    throw new UnsupportedOpError(operation.opType, operation.node, `has no gradient for ${why}`);
  };
  const mode = word('mode', 'nearest');
  const coordinates = word('coordinate_transformation_mode', 'half_pixel');
  const rounding = word('nearest_mode', 'round_prefer_floor');
  const scales = constantsOf(operation.inputs[2]);
  const axes = operation.attributes.get('axes');
  const told = axes?.kind === 'ints' ? axes.value.map((one) => (one < 0 ? one + rank : one)).indexOf(axis) : axis;
  const scale = scales[told] ?? outputs / length;
  const placeOf = (out: number): number => {
    switch (coordinates) {
      case 'asymmetric':
        return out / scale;
      case 'half_pixel':
        return (out + 0.5) / scale - 0.5;
      case 'pytorch_half_pixel':
        return outputs > 1 ? (out + 0.5) / scale - 0.5 : 0;
      case 'align_corners':
        return outputs > 1 ? (out * (length - 1)) / (outputs - 1) : 0;
      default:
        return refuse(`coordinate_transformation_mode '${coordinates}'`);
    }
  };
  const nearest = (place: number): number => {
    switch (rounding) {
      case 'floor':
        return Math.floor(place);
      case 'ceil':
        return Math.ceil(place);
      case 'round_prefer_floor':
        return Math.ceil(place - 0.5);
      case 'round_prefer_ceil':
        return Math.floor(place + 0.5);
      default:
        return refuse(`nearest_mode '${rounding}'`);
    }
  };
  // Keys 1981
  const cubic = (place: number, end: number): readonly (readonly [at: number, share: number])[] => {
    const a = float('cubic_coeff_a', -0.75);
    const first = Math.floor(place);
    const all = [-1, 0, 1, 2].map((by) => {
      const d = Math.abs(place - first - by);
      const share = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
      return [first + by, share] as const;
    });
    if (int('exclude_outside', 0) === 0) return all;
    const kept = all.filter(([at]) => at >= 0 && at < end);
    const sum = kept.reduce((total, [, share]) => total + share, 0);
    return kept.map(([at, share]) => [at, share / sum]);
  };
  const antialias = operation.attributes.get('antialias');
  if (antialias?.kind === 'int' && antialias.value === 1) refuse('antialias');
  const values = new Float32Array(outputs * length);
  const inside = (index: number) => Math.min(Math.max(index, 0), length - 1);
  for (let out = 0; out < outputs; out++) {
    const place = placeOf(out);
    if (mode === 'nearest') values[out * length + inside(nearest(place))] = 1;
    else if (mode === 'linear') {
      const first = Math.floor(place);
      values[out * length + inside(first)]! += 1 - (place - first);
      values[out * length + inside(first + 1)]! += place - first;
    } else if (mode === 'cubic') {
      for (const [at, share] of cubic(place, length)) values[out * length + inside(at)]! += share;
    } else refuse(`mode '${mode}'`);
  }
  return { from: outputs, to: length, values };
}

type Words = Pick<GradientQuestion, 'word' | 'int' | 'float'>;
