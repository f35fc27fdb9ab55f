import { inference } from '@modelmill/contracts';
import { elementBytes } from '@modelmill/runtime';
import type { TensorData, TensorSignature } from '@modelmill/runtime';
import { isClassifiable } from './classification.js';
import * as errors from './errors.js';
import { rawOfTyped } from './typed-contents.js';

/** What a request must fit: a loaded version's name, inputs and outputs. */
export interface Fitting {
  readonly model: string;
  readonly inputs: ReadonlyMap<string, TensorSignature>;
  readonly outputs: ReadonlyMap<string, TensorSignature>;
  /** Whether the first dimension counts independent rows. */
  readonly batched: boolean;
}

/** A request that fits its model: what the batcher takes. */
export interface CheckedRequest {
  readonly inputs: Map<string, TensorData>;
  /** In the order asked for; undefined: all. */
  readonly outputs: readonly string[] | undefined;
  /** How many of its largest values are wanted, by output, where classes are. */
  readonly classes: ReadonlyMap<string, number>;
  /** 1 goes first; without a wish it is behind all that have one. */
  readonly priority: number;
  /** Rows; 1 where the model is not batched. */
  readonly rows: number;
  /** How long it may wait, in milliseconds. */
  readonly queueTimeoutMs: number | undefined;
}

const { InferParameter } = inference;
const maxBytes = 2 ** 31 - 1; // what one message can carry

/** Holds a request against its model. Throws what `errors.ts` says, the first thing that is wrong. */
export function checkRequest(fitting: Fitting, request: inference.ModelInferRequest): CheckedRequest {
  const inputs = checkInputs(fitting, request);
  return {
    inputs,
    outputs: checkOutputs(fitting, request.outputs),
    rows: fitting.batched ? checkRows(fitting, inputs) : 1,
    classes: checkClasses(fitting, request.outputs),
    ...checkParameters(request.parameters),
  };
}

function checkInputs(fitting: Fitting, { inputs, rawInputContents }: inference.ModelInferRequest) {
  const { model } = fitting;
  const raw = rawInputContents.length > 0;
  const checked = new Map<string, TensorData>();
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index]!;
    const { name } = input;
    const signature = fitting.inputs.get(name);
    if (signature === undefined) throw errors.unexpectedInput(model, name);
    if (checked.has(name)) throw errors.duplicateInput(name);
    if ('shared_memory_region' in input.parameters) throw errors.noSharedMemory();
    if (input.datatype !== signature.datatype) {
      throw errors.wrongDatatype(model, name, input.datatype, signature.datatype);
    }
    const shape = checkShape(model, signature, input.shape);
    const data = raw ? rawData(model, input, rawInputContents[index]) : undefined;
    checked.set(name, checkData(model, input, shape, data));
  }
  if (checked.size !== fitting.inputs.size) {
    const missing = [...fitting.inputs.keys()].filter((name) => !checked.has(name));
    throw errors.missingInputs(model, fitting.inputs.size, [...checked.keys()], missing);
  }
  if (rawInputContents.length > inputs.length) {
    throw errors.tooMuchRawData(model, inputs.length, rawInputContents.length);
  }
  return checked;
}

function rawData(model: string, { name, contents }: inference.ModelInferRequest_InferInputTensor, data?: Uint8Array) {
  if (contents !== undefined) throw errors.rawAndTyped(model, name);
  if (data === undefined) throw errors.noData(model, name);
  return data;
}

function checkShape(model: string, { name, shape: want }: TensorSignature, got: readonly bigint[]): number[] {
  const shape = got.map(Number);
  const fits =
    shape.length === want.length &&
    shape.every((size, axis) => Number.isSafeInteger(size) && size >= 0 && (want[axis] === -1 || want[axis] === size));
  if (!fits) throw errors.wrongShape(model, name, want, shape);
  return shape;
}

function checkData(
  model: string,
  { name, datatype, contents }: inference.ModelInferRequest_InferInputTensor,
  shape: number[],
  raw: Uint8Array | undefined,
): TensorData {
  const size = elementBytes(datatype) ?? 0;
  const count = shape.reduce((product, dim) => product * dim, 1);
  if (count * Math.max(size, 1) > maxBytes) throw errors.shapeTooLarge(name, maxBytes);
  if (raw === undefined && contents === undefined && count > 0) throw errors.noData(model, name);
  if (raw !== undefined || contents === undefined) {
    const data = raw ?? new Uint8Array();
    if (size === 0) checkStrings(model, name, count, data);
    else if (data.byteLength !== count * size) throw errors.wrongByteSize(model, name, count * size, data.byteLength);
    return { datatype, shape, data };
  }
  const typed = rawOfTyped(model, name, datatype, contents);
  if (typed.count !== count) {
    if (size === 0) throw errors.wrongStringCount(model, name, count, typed.count);
    throw errors.wrongByteSize(model, name, count * size, typed.count * size);
  }
  return { datatype, shape, data: typed.data };
}

function checkStrings(model: string, input: string, count: number, data: Uint8Array): void {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let strings = 0;
  for (let at = 0; at < data.byteLength; strings++) {
    if (at + 4 > data.byteLength) throw errors.incompleteString(model, input);
    at += 4 + view.getUint32(at, true);
    if (at > data.byteLength) throw errors.incompleteString(model, input);
  }
  if (strings !== count) throw errors.wrongStringCount(model, input, count, strings);
}

/** A request may have more rows than an execution takes of several: it is executed alone. */
function checkRows({ model }: Fitting, inputs: ReadonlyMap<string, TensorData>): number {
  let rows: number | undefined;
  for (const [name, { shape }] of inputs) {
    rows ??= shape[0]!;
    if (shape[0] !== rows) throw errors.mixedBatchSizes(model, name);
  }
  return rows!;
}

function checkOutputs(
  { model, outputs }: Fitting,
  asked: readonly inference.ModelInferRequest_InferRequestedOutputTensor[],
): readonly string[] | undefined {
  if (asked.length === 0) return undefined;
  const names = new Set<string>();
  for (const { name, parameters } of asked) {
    if (!outputs.has(name)) throw errors.unexpectedOutput(model, name);
    if (names.has(name)) throw errors.duplicateOutput(name);
    if ('shared_memory_region' in parameters) throw errors.noSharedMemory();
    names.add(name);
  }
  return [...names];
}

function checkClasses(
  { outputs }: Fitting,
  asked: readonly inference.ModelInferRequest_InferRequestedOutputTensor[],
): ReadonlyMap<string, number> {
  const classes = new Map<string, number>();
  for (const { name, parameters } of asked) {
    const parameter = parameters['classification'];
    if (parameter === undefined) continue;
    const most = wholeNumber(parameter);
    if (most === undefined || most < 1) throw errors.badClassification(name, told(parameter));
    const { datatype } = outputs.get(name)!;
    if (!isClassifiable(datatype)) throw errors.notClassifiable(name, datatype);
    classes.set(name, most);
  }
  return classes;
}

const withoutPriority = Number.MAX_SAFE_INTEGER;

/** `timeout` is in microseconds, whatever number type carries it. */
function checkParameters(parameters: inference.ModelInferRequest['parameters']) {
  for (const name in parameters) {
    if (name.startsWith('triton_') && name !== 'triton_enable_empty_final_response') {
      throw errors.reservedParameter(name);
    }
  }
  const { priority, timeout } = parameters;
  return {
    priority: (priority && natural('priority', priority)) || withoutPriority,
    queueTimeoutMs: timeout && natural('timeout', timeout) / 1000,
  };
}

function natural(name: string, parameter: inference.InferParameter): number {
  const number = wholeNumber(parameter);
  if (number === undefined || number < 0) throw errors.badParameter(name, told(parameter), 'a whole number');
  return number;
}

function wholeNumber({ parameterChoice: choice }: inference.InferParameter): number | undefined {
  if (choice?.$case === 'int64Param') return Number(choice.int64Param);
  return choice?.$case === 'uint64Param' ? Number(choice.uint64Param) : undefined;
}

const told = (parameter: inference.InferParameter) => JSON.stringify(InferParameter.toJSON(parameter));
