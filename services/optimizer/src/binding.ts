import type { registry } from '@modelmill/contracts';
import { signatureOf } from '@modelmill/onnx';
import type { Model, TensorSignature } from '@modelmill/onnx';
import { severalFit, wrongAnswers, wrongFeatures, wrongInput } from './errors.js';
import type { Task } from './task.js';

/** Where a model takes its examples and gives its answers. */
export interface Binding {
  readonly input: string;
  /** Sizes of one example as the model takes it. */
  readonly exampleShape: readonly number[];
  readonly output: string;
  /** Its input is of 16-bit floats. */
  readonly takesHalves?: true;
}

/** How a model takes the examples of a task. Throws an RpcError where the two do not fit. */
export function bindingFor(model: string, signature: registry.Signature | undefined, task: Task): Binding {
  const { inputs = [], outputs = [] } = signature ?? {};
  const { datatype, inWords } = taken[task.kind];
  const [input, another] = inputs;
  const [batch, ...takes] = shapeOf(input);
  if (!input || another || !isOf(datatype, input.datatype) || batch !== -1) {
    throw wrongInput(model, described(inputs), inWords, task.dataset);
  }
  const wanted = answersOf(task);
  const [output, second] = outputs.filter(
    (one) => isOf('FP32', one.datatype) && wanted.shapes.some(isAs(shapeOf(one))),
  );
  if (!output) throw wrongAnswers(model, described(outputs), wanted.shapes[0]!, wanted.why);
  if (second) throw severalFit(model, described(outputs), [output.name, second.name]);
  return {
    input: input.name,
    exampleShape: exampleShape(model, takes, featuresOf(task)),
    output: output.name,
    ...(input.datatype === 'FP16' ? { takesHalves: true } : {}),
  };
}

/** 32-bit floats may be 16-bit ones as well. */
const isOf = (wanted: string, got: string) => got === wanted || (wanted === 'FP32' && got === 'FP16');

/** What a model takes and gives, as the registry keeps it. */
export function registrySignature(model: Model): registry.Signature {
  const asMessage = ({ name, datatype, shape }: TensorSignature) => ({ name, datatype, shape: shape.map(BigInt) });
  const { inputs, outputs } = signatureOf(model);
  return { inputs: inputs.map(asMessage), outputs: outputs.map(asMessage) };
}

const rowsOfFloats = { datatype: 'FP32', inWords: 'one FP32 input whose first dimension is variable' };
const taken: { readonly [K in Task['kind']]: { readonly datatype: string; readonly inWords: string } } = {
  classes: rowsOfFloats,
  numbers: rowsOfFloats,
  text: { datatype: 'INT64', inWords: 'one INT64 input of tokens whose first dimension is variable' },
};

/** What a model has to give, -1 for any number of examples, and why. */
function answersOf(task: Task): { readonly shapes: readonly (readonly number[])[]; readonly why: string } {
  switch (task.kind) {
    case 'classes':
      return { shapes: [[-1, task.classes]], why: `dataset '${task.dataset}' has ${task.classes} classes` };
    case 'numbers':
      return { shapes: [[-1, 1], [-1]], why: `the target of dataset '${task.dataset}' is a number` };
    case 'text': {
      const { size } = task.tokenizer;
      return { shapes: [[-1, task.context, size]], why: `every token is followed by one of ${size}` };
    }
  }
}

/** Whether a model's shape may be the wanted one: sizes that it leaves open may be anything. */
const isAs = (shape: readonly number[]) => (wanted: readonly number[]) =>
  shape[0] === -1 &&
  shape.length === wanted.length &&
  shape.every((size, axis) => axis === 0 || size === -1 || size === wanted[axis]);

const featuresOf = (task: Task) => (task.kind === 'text' ? [task.context] : task.featureShape);

/** The model's own sizes where all are fixed: a row of 64 numbers is an image of 8 by 8, too. */
function exampleShape(model: string, takes: readonly number[], features: readonly number[]): readonly number[] {
  if (!takes.includes(-1)) {
    if (product(takes) === product(features)) return takes;
  } else if (takes.length === features.length && takes.every((size, axis) => size === -1 || size === features[axis])) {
    return features;
  }
  throw wrongFeatures(model, takes, features);
}

const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);
const shapeOf = (tensor: registry.TensorSignature | undefined) => (tensor?.shape ?? []).map(Number);
const described = (tensors: readonly registry.TensorSignature[]) =>
  tensors.map(({ datatype, shape }) => `${datatype} [${shape.join(', ')}]`).join(' and ') || 'nothing';
