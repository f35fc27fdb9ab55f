import type { inference } from '@modelmill/contracts';
import * as errors from './errors.js';
import type { InferRequest } from './infer-json.js';

const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  INT8: 1,
  UINT8: 1,
  INT16: 2,
  UINT16: 2,
  FP16: 2,
  BF16: 2,
  INT32: 4,
  UINT32: 4,
  FP32: 4,
  INT64: 8,
  UINT64: 8,
  FP64: 8,
};

/** A body that is nothing but the one input of the model (inference header 0); every output comes back binary. */
export function readRawRequest(
  { name: model, inputs }: inference.ModelMetadataResponse,
  version: string,
  body: Buffer,
): InferRequest {
  const [input] = inputs;
  if (inputs.length !== 1 || !input) throw errors.rawOneInput(model, inputs.length);
  const tensor = input.datatype === 'BYTES' ? oneString(input, body) : elements(input, body);
  return {
    message: {
      modelName: model,
      modelVersion: version,
      id: '',
      parameters: {},
      inputs: [
        { name: input.name, datatype: input.datatype, shape: tensor.shape, parameters: {}, contents: undefined },
      ],
      outputs: [],
      rawInputContents: [tensor.bytes],
    },
    wish: { id: undefined, binary: () => true },
    room: 0,
  };
}

type Input = inference.ModelMetadataResponse_TensorMetadata;

function oneString({ name, shape }: Input, body: Buffer) {
  if (shape.reduce((size, axis) => size * (axis < 0n ? 1n : axis), 1n) !== 1n) throw errors.rawString(name);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return { shape: shape.map(() => 1n), bytes: Buffer.concat([length, body]) };
}

/** Treated as a batch of one; at most one other size may be variable, and the count of bytes tells it. */
function elements({ name, datatype, shape }: Input, body: Buffer) {
  const sizes = shape.map((axis, i) => (i === 0 && axis < 0n ? 1n : axis));
  const variable = sizes.filter((axis) => axis < 0n).length;
  if (variable > 1) throw errors.rawShape(name);
  const known = sizes.filter((axis) => axis >= 0n).reduce((product, axis) => product * axis, 1n);
  const step = Number(known) * (elementBytes[datatype] ?? 1);
  const count = step === 0 ? 0 : body.length / step;
  if (!Number.isInteger(count) || (variable === 0 && count !== 1)) throw errors.rawSize(name, body.length, step);
  return { shape: sizes.map((axis) => (axis < 0n ? BigInt(count) : axis)), bytes: body };
}
