import type { FeatureTarget } from '@modelmill/autodiff';
import { ShapeError, cutFinalSoftmax, inferShapes } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { hiddenShapesUnknown, noSuchFeature } from './errors.js';
import { exampleShapeOf } from './initial-graph.js';
import type { TrainingPlan } from './training-plan.js';

/** A student's hidden value, and the teacher's it learns to be like. */
export interface HiddenFeature extends FeatureTarget {
  /** A value of the teacher's graph. */
  readonly teacher: string;
}

export interface Lessons {
  readonly teacher: Model;
  /** The student in training form. */
  readonly student: Model;
  readonly batchSize: number;
  readonly featureShape: readonly number[];
  /** Uniform numbers in [0, 1); one stream per feature. */
  readonly random: (stream: number, count: number) => Float32Array;
}

/** The features of a plan, found in both graphs. Throws an RpcError that lists what there is. */
export function hiddenFeatures(
  { distillation }: Pick<TrainingPlan, 'distillation'>,
  { teacher, student, batchSize, featureShape, random }: Lessons,
): HiddenFeature[] {
  const { features = [] } = distillation ?? {};
  if (features.length === 0) return [];
  const sized = { batchSize, featureShape };
  const found = { teacher: hiddenValues(teacher, 'teacher', sized), student: hiddenValues(student, 'student', sized) };
  return features.map(({ loss, weight, ...names }, i) => {
    const valueOf = (side: 'teacher' | 'student') => {
      const value = found[side].byName.get(names[side]);
      if (value) return value;
      throw noSuchFeature(`distillation.features[${i}].${side}`, names[side], side, found[side].values);
    };
    return {
      teacher: valueOf('teacher').name,
      teacherShape: valueOf('teacher').shape,
      student: valueOf('student').name,
      loss,
      weight,
      random: (count) => random(i, count),
    };
  });
}

interface HiddenValue {
  readonly name: string;
  /** The batch in front. */
  readonly shape: readonly number[];
}

/** What nodes make of floats with a batch in front, by its names and, where a node is called otherwise, by that one's. */
function hiddenValues(
  model: Model,
  side: string,
  { batchSize, featureShape }: Pick<Lessons, 'batchSize' | 'featureShape'>,
): { readonly values: readonly string[]; readonly byName: ReadonlyMap<string, HiddenValue> } {
  const { graph } = model;
  const [input] = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const fixed = new Map([[input?.name ?? '', [batchSize, ...exampleShapeOf(model, featureShape)]]]);
  const byName = new Map<string, HiddenValue>();
  const values: string[] = [];
  const types = shapesOf(model, side, fixed);
  for (const node of graph.nodes) {
    for (const [at, name] of node.outputs.entries()) {
      const type = types.get(name);
      if (type?.dataType !== 'float' || type.shape.length < 2 || type.shape[0] !== batchSize) continue;
      const value = { name, shape: type.shape };
      byName.set(name, value);
      values.push(name);
      if (at === 0 && node.name !== '' && !types.has(node.name)) byName.set(node.name, value);
    }
  }
  return { values, byName };
}

function shapesOf(model: Model, side: string, fixed: ReadonlyMap<string, readonly number[]>) {
  try {
    return inferShapes(model, fixed);
  } catch (error) {
    throw error instanceof ShapeError ? hiddenShapesUnknown(side, error.message) : error;
  }
}

/** Makes hidden values outputs beside the logits of a teacher, in place. The logits' name. */
export function giveFeatures(teacher: Model, features: readonly HiddenFeature[]): string {
  const logits = cutFinalSoftmax(teacher);
  const { graph } = teacher;
  graph.valueInfo = []; // their type may have come from what was cut
  for (const { teacher: name, teacherShape } of features) {
    if (graph.outputs.some((output) => output.name === name)) continue;
    graph.outputs.push({ name, dataType: 'float', shape: ['batch', ...teacherShape.slice(1)] });
  }
  return logits;
}
