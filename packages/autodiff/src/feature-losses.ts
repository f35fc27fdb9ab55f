import { TrainingFormError } from './errors.js';
import { initialWeights, scaled } from './initial-weights.js';
import {
  add,
  div,
  matMul,
  mean,
  mul,
  reduceMean,
  reduceSum,
  reshape,
  sameShape,
  sqrt,
  sub,
  times,
  transpose,
} from './ops.js';
import { input, scalar, size } from './value.js';
import type { Shape, Value } from './value.js';

/** How far a student's hidden value is from a teacher's of the same shape, the batch in front. */
export const featureLosses = {
  /** Romero et al. 2015 (FitNets), as PyTorch's mse_loss. */
  mse(student: Value, teacher: Value): Value {
    const error = sub(student, teacher);
    return mean(mul(error, error));
  },
  /** 1 − cos along the width, as PyTorch's cosine_embedding_loss of pairs that are alike. */
  cosine(student: Value, teacher: Value): Value {
    const along = (a: Value, b: Value) => reduceSum(mul(a, b), [widthAxis(a.shape)], false);
    const square = (x: Value) => add(along(x, x), scalar(1e-12));
    return sub(scalar(1), mean(div(along(student, teacher), sqrt(mul(square(student), square(teacher))))));
  },
  /** Zagoruyko and Komodakis 2017: where feature maps are large, not by what. Their channels may differ in number. */
  attention(student: Value, teacher: Value): Value {
    const error = sub(attentionOf(student), attentionOf(teacher));
    return mean(mul(error, error));
  },
} as const;

export type FeatureLoss = keyof typeof featureLosses;

/** A hidden value of the student that is held to one of the teacher. */
export interface FeatureTarget {
  /** A value of the training form. */
  readonly student: string;
  /** Sizes of the teacher's, the batch in front. */
  readonly teacherShape: Shape;
  readonly loss: FeatureLoss;
  readonly weight: number;
  /** Uniform numbers in [0, 1), for a projection between two widths. */
  readonly random: (count: number) => Float32Array;
}

/** What a step learns features by. */
export interface FeatureTerms {
  /** Weighted; one per target. */
  readonly losses: readonly Value[];
  /** Fed with the teacher's values; one per target. */
  readonly teachers: readonly Value[];
  /** Trained beside the weights, and not part of the model: from the student's widths to the teacher's. */
  readonly projections: readonly { readonly name: string; readonly value: Value; readonly initial: Float32Array }[];
}

/** Throws TrainingFormError where two shapes do not fit. */
export function featureTerms(
  targets: readonly FeatureTarget[],
  values: ReadonlyMap<string, Value>,
  fresh: (name: string) => string,
): FeatureTerms {
  const projections: FeatureTerms['projections'][number][] = [];
  const teachers: Value[] = [];
  const losses = targets.map(({ student: name, teacherShape, loss, weight, random }, i) => {
    const student = values.get(name);
    if (!student) throw new TrainingFormError(`the student has no value '${name}'`);
    const way = wayBetween(student.shape, teacherShape, loss);
    if (way === 'none') throw new TrainingFormError(misfit(name, student.shape, teacherShape, loss));
    const teacher = input(fresh(`teacher.feature${i}`), teacherShape);
    teachers.push(teacher);
    if (way === 'as it is') return times(featureLosses[loss](student, teacher), weight);
    const dims = [student, teacher].map(({ shape }) => shape[widthAxis(shape)]!) as [number, number];
    const value = input(fresh(`projection${i}`), dims);
    projections.push({
      name: value.source.kind === 'input' ? value.source.name : '',
      value,
      initial: initialWeights(scaled(...dims), size(dims), random),
    });
    return times(featureLosses[loss](projected(student, value, teacherShape), teacher), weight);
  });
  return { losses, teachers, projections };
}

/** Channels of maps [batch, channels, height, width]; the last axis of others. */
const widthAxis = (shape: Shape): number => (shape.length === 4 ? 1 : shape.length - 1);

function wayBetween(student: Shape, teacher: Shape, loss: FeatureLoss): 'as it is' | 'projected' | 'none' {
  const axis = widthAxis(student);
  const besidesWidth = (shape: Shape) => shape.filter((_, i) => i !== axis);
  const isClose = student.length === teacher.length && sameShape(besidesWidth(student), besidesWidth(teacher));
  if (!isClose || student.length < 2) return 'none';
  if (loss === 'attention') return student.length === 4 ? 'as it is' : 'none';
  return sameShape(student, teacher) ? 'as it is' : 'projected';
}

function misfit(name: string, student: Shape, teacher: Shape, loss: FeatureLoss): string {
  const wanted =
    loss === 'attention'
      ? 'maps of one height and width, [batch, channels, height, width]'
      : 'the same sizes, but for the channels of maps or the last axis of others';
  return `'${name}' is [${student}] and the teacher's value [${teacher}]: ${loss} wants ${wanted}`;
}

/** A linear map of the width, without a bias. */
function projected(x: Value, weight: Value, shape: Shape): Value {
  if (widthAxis(x.shape) === x.shape.length - 1) return matMul(x, weight);
  const [batch = 1, channels = 1, ...places] = x.shape;
  return reshape(matMul(transpose(weight, [1, 0]), reshape(x, [batch, channels, size(places)])), shape);
}

/** Mean square over the channels, as a vector of length 1 per example. */
function attentionOf(maps: Value): Value {
  const [batch = 1] = maps.shape;
  const energy = reduceMean(mul(maps, maps), [1], false);
  const flat = reshape(energy, [batch, size(energy.shape) / batch]);
  return div(flat, sqrt(add(reduceSum(mul(flat, flat), [1], true), scalar(1e-24))));
}
