import type { Attribute } from '@modelmill/onnx';
import { TrainingFormError, UnsupportedOpError } from './errors.js';
import * as op from './ops.js';
import type { Reading } from './reading.js';
import { ints, operation, scalar, size } from './value.js';
import type { Value } from './value.js';

/** Attributes that later operator sets made inputs, in the inputs' order. */
const attributeInputs: Readonly<Record<string, readonly string[]>> = {
  Squeeze: ['axes'],
  Unsqueeze: ['axes'],
  Split: ['split'],
  Slice: ['starts', 'ends', 'axes'],
  Pad: ['pads', 'value'],
  Clip: ['min', 'max'],
  TopK: ['k'],
  ...Object.fromEntries(
    ['Sum', 'Mean', 'Max', 'Min', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp', 'Prod'].map((of) => [
      `Reduce${of}`,
      ['axes'],
    ]),
  ),
};

/** Attributes of later sets that set 18 lacks, with the value that says what set 18 does anyway. */
const laterAttributes: Readonly<Record<string, Readonly<Record<string, (value: Attribute) => boolean>>>> = {
  AveragePool: { dilations: (value) => value.kind === 'ints' && value.value.every((dilation) => dilation === 1) },
  Cast: { saturate: () => true, round_mode: () => true }, // they say something of 8-bit floats alone
};

/** Operators that came after set 18 and are not written in others' terms here. */
const later: ReadonlySet<string> = new Set(['TensorScatter', 'CumProd', 'BitCast']);

const flattened: ReadonlySet<string> = new Set(['Softmax', 'LogSoftmax', 'Hardmax']);

/** A node in the words of operator set 18, whatever set its graph is written in. Throws where it has none. */
export function inSet18(reading: Reading): readonly Value[] {
  const { node, x, outputs, opset } = reading;
  if (node.domain === '' && later.has(node.opType)) throw new UnsupportedOpError(node.opType, node.name);
  if (node.attributes.has('broadcast')) {
    throw new TrainingFormError(`node '${node.name}' (${node.opType}) broadcasts as operator sets before 7 do`);
  }
  if (opset < 13 && flattened.has(node.opType)) return [ofTwoAxes(reading)];
  const attributes = new Map(node.attributes);
  const inputs = [...x];
  (attributeInputs[node.opType] ?? []).forEach((name, i) => {
    const found = attributes.get(name);
    if (found === undefined) return;
    attributes.delete(name);
    inputs[i + 1] = inputOf(found);
  });
  for (const [name, isUsual] of Object.entries(laterAttributes[node.opType] ?? {})) {
    const found = attributes.get(name);
    if (found !== undefined && !isUsual(found)) {
      throw new UnsupportedOpError(node.opType, node.name, `has ${name}, which training cannot follow`);
    }
    attributes.delete(name);
  }
  // sizes are static here, whatever the graph left open
  if (node.opType === 'Reshape') inputs[1] = ints(outputs[0]!.shape);
  if (node.opType === 'Split' && inputs.length < 2) {
    const axis = attributes.get('axis');
    const at = axis?.kind === 'int' ? axis.value : 0;
    inputs.push(ints(outputs.map(({ shape }) => shape.at(at)!)));
    attributes.delete('num_outputs');
  }
  // sparse arrays would read as inputs that are left out at their end
  const dense = Array.from(inputs);
  return operation({ opType: node.opType, domain: node.domain, node: node.name, inputs: dense, attributes }, outputs);
}

function inputOf(attribute: Attribute): Value | undefined {
  switch (attribute.kind) {
    case 'ints':
      return ints(attribute.value);
    case 'int':
      return ints([attribute.value]);
    case 'float':
      return scalar(attribute.value);
    default:
      return undefined;
  }
}

/** Before set 13 these took everything from `axis` on (1 unless it is stated) as one axis. */
function ofTwoAxes({ node, x: [x], int }: Reading): Value {
  const { shape, dataType } = x!;
  const axis = int('axis', 1);
  const rows = size(shape.slice(0, axis < 0 ? axis + shape.length : axis));
  const flat = op.reshape(x!, [rows, size(shape) / rows]);
  const made = operation(
    { opType: node.opType, node: node.name, inputs: [flat], attributes: new Map([['axis', op.int(1)]]) },
    [{ dataType, shape: flat.shape }],
  );
  return op.reshape(made[0]!, shape);
}
