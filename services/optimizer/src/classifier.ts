import type { registry } from '@modelmill/contracts';
import { signatureOf } from '@modelmill/onnx';
import type { Model, TensorSignature } from '@modelmill/onnx';
import { wrongClasses, wrongFeatures, wrongInput } from './errors.js';

/** Where a classifier takes its examples and gives its scores. */
export interface Classifier {
  readonly input: string;
  /** Sizes of one example as the model takes it. */
  readonly exampleShape: readonly number[];
  readonly output: string;
}

/** What a dataset asks of a classifier. */
export interface ExampleForm {
  readonly dataset: string;
  readonly featureShape: readonly number[];
  readonly classes: number;
}

/** How a model takes the examples of a dataset. Throws an RpcError where the two do not fit. */
export function classifierFor(model: string, signature: registry.Signature | undefined, form: ExampleForm): Classifier {
  const { dataset, featureShape, classes } = form;
  const { inputs = [], outputs = [] } = signature ?? {};
  const [input, another] = inputs;
  const [batch, ...takes] = shapeOf(input);
  if (!input || another || input.datatype !== 'FP32' || batch !== -1) throw wrongInput(model, described(inputs));
  const output = outputs.find((candidate) => {
    const [rows, columns, more] = shapeOf(candidate);
    return candidate.datatype === 'FP32' && rows === -1 && (columns === classes || columns === -1) && !more;
  });
  if (!output) throw wrongClasses(model, described(outputs), dataset, classes);
  return { input: input.name, exampleShape: exampleShape(model, takes, featureShape), output: output.name };
}

/** What a model takes and gives, as the registry keeps it. */
export function registrySignature(model: Model): registry.Signature {
  const asMessage = ({ name, datatype, shape }: TensorSignature) => ({ name, datatype, shape: shape.map(BigInt) });
  const { inputs, outputs } = signatureOf(model);
  return { inputs: inputs.map(asMessage), outputs: outputs.map(asMessage) };
}

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
