import type { inference } from '@modelmill/contracts';
import * as errors from './errors.js';
import { ownFlag, ownParameter, readParameters, writeParameters } from './infer-parameters.js';
import {
  isList,
  isLiteral,
  isObject,
  isRange,
  onlyKnown,
  readJsonObject,
  show,
  stringIn,
  textOf,
} from './json-node.js';
import type { JsonNode, JsonObject, RawRange } from './json-text.js';
import { JsonTextError } from './json-text.js';
import { jsonAnswer } from './rest-request.js';
import type { RestAnswer } from './rest-request.js';
import { JsonDatatypeError, readTensorJson, writeTensorJson } from './tensor-json.js';

/** In which form the caller wants each output. */
export interface OutputWish {
  readonly id: string | undefined;
  binary(output: string): boolean;
}

export interface InferRequest {
  readonly message: inference.ModelInferRequest;
  readonly wish: OutputWish;
  /** Bytes right before the first tensor that nobody needs any more. */
  readonly room: number;
}

const raw = new Set(['data']);
/** Below this, pieces are joined: one write costs less than two. */
const joinedBytes = 2 ** 16;
/** Up to this, an answer is text: Node sends it in one piece with its headers. */
const textBytes = 2 ** 13;
const inferenceHeader = 'inference-header-content-length';

/** The body of an infer request, JSON alone or JSON of so many bytes and the binary tensors behind it, as the gRPC message. */
export function readInferRequest(
  model: string,
  version: string,
  whole: Buffer,
  jsonBytes: number | undefined,
): InferRequest {
  const json = whole.subarray(0, jsonBytes);
  const binary = jsonBytes === undefined ? undefined : whole.subarray(jsonBytes);
  const text = textOf(json);
  const body = readJsonObject(text, raw, json);
  // KServe's client repeats the names that the path has
  onlyKnown(body, 'the request', ['id', 'model_name', 'model_version', 'parameters', 'inputs', 'outputs']);
  const id = body.has('id') ? stringIn(body, 'the request', 'id') : undefined;
  const tensors = cursorOver(binary, model);
  const inputs = listIn(body, 'inputs').map((input) => readInput(input, text, tensors));
  tensors.end();
  const outputs = body.has('outputs') ? listIn(body, 'outputs').map(readOutput) : [];
  const allBinary = ownFlag(body, 'binary_data_output') ?? false;
  const named = new Map(outputs.map(({ name, binary }) => [name, binary]));
  return {
    message: {
      modelName: model,
      modelVersion: version,
      id: id ?? '',
      parameters: readParameters(body, ['binary_data_output']),
      inputs: inputs.map(({ tensor }) => tensor),
      outputs: outputs.map(({ name, parameters }) => ({ name, parameters })),
      rawInputContents: inputs.map(({ bytes }) => bytes),
    },
    wish: { id, binary: (output) => named.get(output) ?? allBinary },
    // of an only tensor that comes in bytes: it lies right behind the JSON, which has been read
    room: binary === undefined || binary.length === 0 ? 0 : json.length,
  };
}

/** How many bytes of the body are JSON; undefined: all of them. */
export function jsonLength(header: string | string[] | undefined, length: number): number | undefined {
  if (header === undefined) return undefined;
  const text = String(header);
  if (!/^\d{1,15}$/.test(text)) throw errors.badInferenceHeader(text);
  const value = Number(text);
  if (value > length) throw errors.inferenceHeaderRange(length, value);
  return value;
}

function listIn(body: JsonObject, key: string): JsonObject[] {
  const list = body.get(key);
  if (list === undefined) throw errors.missingField('the request', key);
  if (!isList(list)) throw errors.wrongField(key, show(list), 'a list');
  return list.map((item) => {
    if (!isObject(item)) throw errors.wrongField(key, show(item), 'a list of objects');
    return item;
  });
}

function readInput(input: JsonObject, text: string, tensors: BinaryCursor) {
  const name = stringIn(input, 'an input', 'name');
  onlyKnown(input, `input '${name}'`, ['name', 'shape', 'datatype', 'parameters', 'data']);
  const datatype = stringIn(input, `input '${name}'`, 'datatype');
  const shape = readShape(input.get('shape'));
  const size = ownParameter(input, 'binary_data_size');
  const data = input.get('data');
  const shared = ownParameter(input, 'shared_memory_region');
  const given = [
    data !== undefined && "'data'",
    size !== undefined && "'binary_data_size'",
    shared !== undefined && "'shared_memory_region'",
  ];
  const set = given.filter((form) => form !== false);
  if (set.length !== 1)
    throw errors.onlyOneData(name, set.length === 0 ? 'But no field is set' : `But set ${set.join(' and ')}`);
  const parameters = readParameters(input, ['binary_data_size']);
  const tensor = { name, datatype, shape, parameters, contents: undefined };
  if (size !== undefined) return { tensor, bytes: tensors.take(name, size) };
  return { tensor, bytes: isRange(data) ? readData(text, data, name, datatype) : Buffer.alloc(0) };
}

function readData(text: string, range: RawRange, name: string, datatype: string): Buffer {
  try {
    const { bytes } = readTensorJson(text, range, datatype);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    if (error instanceof JsonDatatypeError) throw errors.noJsonForm(datatype, name);
    if (error instanceof JsonTextError) throw errors.badData(name, error.message);
    throw error;
  }
}

function readShape(node: JsonNode | undefined): bigint[] {
  if (!isList(node)) throw errors.wrongField('shape', show(node), 'a list of integers');
  return node.map((size) => {
    if (!isLiteral(size) || !/^-?\d{1,19}$/.test(size.literal))
      throw errors.wrongField('shape', show(size), 'an integer');
    const value = BigInt(size.literal);
    if (value < 0n || value >= 2n ** 63n) {
      throw errors.wrongField(
        'shape',
        size.literal,
        'no negative one: attempt to access JSON non-unsigned-integer as unsigned-integer',
      );
    }
    return value;
  });
}

function readOutput(output: JsonObject) {
  const name = stringIn(output, 'an output', 'name');
  onlyKnown(output, `output '${name}'`, ['name', 'parameters']);
  return { name, binary: ownFlag(output, 'binary_data'), parameters: readParameters(output, ['binary_data']) };
}

interface BinaryCursor {
  take(input: string, size: JsonNode): Buffer;
  /** Throws where bytes are left. */
  end(): void;
}

function cursorOver(binary: Buffer | undefined, model: string): BinaryCursor {
  let at = 0;
  return {
    take(input, size) {
      if (!isLiteral(size) || !/^\d{1,15}$/.test(size.literal)) {
        throw errors.wrongField('binary_data_size', show(size), 'a count of bytes');
      }
      if (binary === undefined) throw errors.binaryWithoutHeader(input);
      const end = at + Number(size.literal);
      if (end > binary.length) throw errors.binaryTooShort(input, end - binary.length, model);
      return binary.subarray(at, (at = end));
    },
    end() {
      if (binary !== undefined && at < binary.length) throw errors.binaryLeftOver(model, binary.length - at);
    },
  };
}

/** The answer, each output in the form that was wished for. */
export function writeInferAnswer(answer: inference.ModelInferResponse, wish: OutputWish): RestAnswer {
  const binary: Buffer[] = [];
  const outputs = answer.outputs.map(({ name, datatype, shape, parameters }, i) => {
    const bytes = answer.rawOutputContents[i] ?? Buffer.alloc(0);
    const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`;
    if (!wish.binary(name)) {
      const shown = Object.keys(parameters).length > 0 ? `,"parameters":${writeParameters(parameters)}` : '';
      return [`${head}${shown},"data":`, writeData(name, datatype, bytes), '}'];
    }
    binary.push(bytes);
    const size = { parameterChoice: { $case: 'int64Param' as const, int64Param: BigInt(bytes.length) } };
    return [`${head},"parameters":${writeParameters({ ...parameters, binary_data_size: size })}}`];
  });
  const members = [
    ...(wish.id === undefined ? [] : [`"id":${JSON.stringify(wish.id)}`]),
    `"model_name":${JSON.stringify(answer.modelName)}`,
    `"model_version":${JSON.stringify(answer.modelVersion)}`,
    ...(Object.keys(answer.parameters).length > 0 ? [`"parameters":${writeParameters(answer.parameters)}`] : []),
  ];
  const listed = outputs.flatMap((output, i) => (i === 0 ? output : [',', ...output]));
  const parts = [`{${members.join(',')},"outputs":[`, ...listed, ']}'];
  const isJson = binary.every(({ length }) => length === 0);
  if (isJson && parts.reduce((sum, { length }) => sum + length, 0) <= textBytes)
    return jsonAnswer(parts.map(String).join(''));
  const json = Buffer.concat(parts.map(asBytes));
  if (isJson) return { type: 'application/json; charset=utf-8', body: json };
  const pieces = [json, ...binary];
  return {
    type: 'application/octet-stream',
    headers: { [inferenceHeader]: String(json.length) },
    body: pieces.reduce((sum, { length }) => sum + length, 0) < joinedBytes ? Buffer.concat(pieces) : pieces,
  };
}

const asBytes = (piece: string | Buffer) => (typeof piece === 'string' ? Buffer.from(piece) : piece);

function writeData(output: string, datatype: string, bytes: Buffer): Buffer {
  try {
    return writeTensorJson(datatype, bytes);
  } catch (error) {
    if (error instanceof JsonDatatypeError) throw errors.noJsonFormOut(error.message, output);
    throw error;
  }
}
