import { dataTypes } from './model.js';
import type { Attribute, Graph, Model, Node, SparseTensor, Tensor, ValueInfo } from './model.js';
import { byteLength, toInt64 } from './tensor.js';

/** Encoded parts in order; a tensor's bytes are only looked at when their turn to be written comes. */
interface Message {
  readonly parts: (Uint8Array | Tensor)[];
  length: number;
}

const utf8 = new TextEncoder();

/** Writes an ONNX file. */
export function writeOnnx(model: Model): Uint8Array {
  const { parts, length } = fileMessage(model);
  return joined(parts, length);
}

const pieceBytes = 2 ** 16;

/** An ONNX file piece by piece, which takes no more memory than its largest tensor. */
export const onnxPieces = (model: Model): Generator<Uint8Array> => piecesOf(fileMessage(model).parts);

/** An ONNX file and another one that holds what is large. */
export interface SplitOnnx {
  /** The other file, piece by piece. */
  data(): Generator<Uint8Array>;
  /** The ONNX file, in which the other one has this name. */
  file(location: string): Generator<Uint8Array>;
}

/** Initializers from here on go to the other file, each from the beginning of a page, so that it can be mapped. */
const leastExternal = 1024;
const pageBytes = 4096;

/**
 * An ONNX file of at most so many bytes is one; undefined then. A larger one's initializers lie in a file of their own: no
 * ONNX file may have 2 GiB.
 */
export function splitOnnx(model: Model, mostBytes: number): SplitOnnx | undefined {
  if (fileMessage(model).length <= mostBytes) return undefined;
  const offsets = new Map<Tensor, number>();
  let end = 0;
  for (const tensor of model.graph.initializers.values()) {
    if (tensor.dataType === 'string' || byteLength(tensor) < leastExternal) continue;
    offsets.set(tensor, end);
    end = Math.ceil((end + byteLength(tensor)) / pageBytes) * pageBytes;
  }
  return {
    *data() {
      let at = 0;
      for (const [tensor, offset] of offsets) {
        if (offset > at) yield new Uint8Array(offset - at);
        yield bytesIn(tensor);
        at = offset + byteLength(tensor);
      }
    },
    file: (location) => piecesOf(fileMessage(model, { location, offsets }).parts),
  };
}

interface Elsewhere {
  readonly location: string;
  readonly offsets: ReadonlyMap<Tensor, number>;
}

function* piecesOf(parts: readonly (Uint8Array | Tensor)[]): Generator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    const next = bytesIn(part);
    gathered.push(next);
    bytes += next.length;
    if (bytes < pieceBytes) continue;
    yield* next.length < pieceBytes
      ? [joined(gathered, bytes)]
      : [joined(gathered.slice(0, -1), bytes - next.length), next];
    gathered = [];
    bytes = 0;
  }
  yield joined(gathered, bytes);
}

function joined(parts: readonly (Uint8Array | Tensor)[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    const bytes = bytesIn(part);
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

/** The file says how long a tensor is before it has its bytes. */
function bytesIn(part: Uint8Array | Tensor): Uint8Array {
  if (part instanceof Uint8Array) return part;
  const { bytes } = part;
  if (bytes.length !== byteLength(part)) {
    throw new Error(`tensor '${part.name}' has ${bytes.length} bytes, wants ${byteLength(part)}`);
  }
  return bytes;
}

function fileMessage(model: Model, elsewhere?: Elsewhere): Message {
  const file = message();
  putInt(file, 1, model.irVersion);
  putText(file, 2, model.producer);
  put(file, 7, graphMessage(model.graph, elsewhere));
  for (const [domain, version] of model.opsets) {
    const opset = message();
    putText(opset, 1, domain);
    putInt(opset, 2, version);
    put(file, 8, opset);
  }
  for (const [key, value] of model.metadata) {
    const entry = message();
    putText(entry, 1, key);
    putText(entry, 2, value);
    put(file, 14, entry);
  }
  for (const { bytes } of model.functions) putBytes(file, 25, bytes);
  return file;
}

function graphMessage(graph: Graph, elsewhere?: Elsewhere): Message {
  const to = message();
  for (const node of graph.nodes) put(to, 1, nodeMessage(node));
  putText(to, 2, graph.name);
  for (const tensor of graph.initializers.values()) put(to, 5, tensorMessage(tensor, elsewhere));
  for (const value of graph.inputs) put(to, 11, valueMessage(value));
  for (const value of graph.outputs) put(to, 12, valueMessage(value));
  for (const value of graph.valueInfo) put(to, 13, valueMessage(value));
  for (const sparse of graph.sparseInitializers.values()) put(to, 15, sparseMessage(sparse));
  return to;
}

function nodeMessage({ name, opType, domain, inputs, outputs, attributes }: Node): Message {
  const to = message();
  for (const input of inputs) putBytes(to, 1, utf8.encode(input));
  for (const output of outputs) putBytes(to, 2, utf8.encode(output));
  putText(to, 3, name);
  putText(to, 4, opType);
  for (const [key, attribute] of attributes) put(to, 5, attributeMessage(key, attribute));
  putText(to, 7, domain);
  return to;
}

const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
} as const;

function attributeMessage(name: string, attribute: Attribute): Message {
  const to = message();
  if (attribute.kind === 'opaque') {
    append(to, attribute.bytes);
    return to;
  }
  putText(to, 1, name);
  switch (attribute.kind) {
    case 'float':
      putFloats(to, 2, [attribute.value], false);
      break;
    case 'int':
      putVarint(to, 3, toInt64(attribute.value));
      break;
    case 'string':
      putBytes(to, 4, utf8.encode(attribute.value));
      break;
    case 'tensor':
      put(to, 5, tensorMessage(attribute.value));
      break;
    case 'graph':
      put(to, 6, graphMessage(attribute.value));
      break;
    case 'floats':
      putFloats(to, 7, attribute.value, true);
      break;
    case 'ints':
      putInts(to, 8, attribute.value);
      break;
    case 'strings':
      for (const value of attribute.value) putBytes(to, 9, utf8.encode(value));
      break;
    case 'tensors':
      for (const value of attribute.value) put(to, 10, tensorMessage(value));
      break;
    case 'graphs':
      for (const value of attribute.value) put(to, 11, graphMessage(value));
      break;
    case 'sparseTensor':
      put(to, 22, sparseMessage(attribute.value));
      break;
    case 'reference':
      putText(to, 21, attribute.value);
      break;
  }
  putInt(to, 20, attribute.kind === 'reference' ? attribute.type : attributeTypes[attribute.kind]);
  return to;
}

function tensorMessage(tensor: Tensor, elsewhere?: Elsewhere): Message {
  const { name, dataType, dims } = tensor;
  const to = message();
  putInts(to, 1, dims);
  putInt(to, 2, dataTypes[dataType]);
  putText(to, 8, name);
  const offset = elsewhere?.offsets.get(tensor);
  if (elsewhere && offset !== undefined) {
    const told = { location: elsewhere.location, offset, length: byteLength(tensor) };
    for (const [key, value] of Object.entries(told)) {
      const entry = message();
      putText(entry, 1, key);
      putText(entry, 2, String(value));
      put(to, 13, entry);
    }
    putInt(to, 14, 1);
    return to;
  }
  if (dataType === 'string') {
    const { bytes } = tensor;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length;) {
      const length = view.getUint32(at, true);
      putBytes(to, 6, bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
  } else {
    const length = byteLength(tensor);
    append(to, tag(9, 2));
    append(to, varint(BigInt(length)));
    to.parts.push(tensor);
    to.length += length;
  }
  return to;
}

function sparseMessage({ values, indices, dims }: SparseTensor): Message {
  const to = message();
  put(to, 1, tensorMessage(values));
  put(to, 2, tensorMessage(indices));
  putInts(to, 3, dims);
  return to;
}

function valueMessage(value: ValueInfo): Message {
  const to = message();
  putText(to, 1, value.name);
  if (value.dataType === undefined) {
    if (value.opaque.length > 0) putBytes(to, 2, value.opaque);
    return to;
  }
  const tensor = message();
  putInt(tensor, 1, dataTypes[value.dataType]);
  if (value.shape) {
    const shape = message();
    for (const dim of value.shape) {
      const size = message();
      if (typeof dim === 'number') putVarint(size, 1, toInt64(dim));
      else if (typeof dim === 'string') putText(size, 2, dim);
      put(shape, 1, size);
    }
    put(tensor, 2, shape);
  }
  const type = message();
  put(type, 1, tensor);
  put(to, 2, type);
  return to;
}

const message = (): Message => ({ parts: [], length: 0 });

function append(to: Message, bytes: Uint8Array): void {
  to.parts.push(bytes);
  to.length += bytes.length;
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

const tag = (number: number, wire: number) => varint(BigInt(number * 8 + wire));

function put(to: Message, number: number, inner: Message): void {
  append(to, tag(number, 2));
  append(to, varint(BigInt(inner.length)));
  // one by one: a graph has more parts than a call may have arguments
  for (const part of inner.parts) to.parts.push(part);
  to.length += inner.length;
}

function putBytes(to: Message, number: number, bytes: Uint8Array): void {
  append(to, tag(number, 2));
  append(to, varint(BigInt(bytes.length)));
  append(to, bytes);
}

function putText(to: Message, number: number, value: string): void {
  if (value !== '') putBytes(to, number, utf8.encode(value));
}

function putVarint(to: Message, number: number, value: bigint): void {
  append(to, tag(number, 0));
  append(to, varint(value));
}

const putInt = (to: Message, number: number, value: number) => putVarint(to, number, BigInt(value));

function putInts(to: Message, number: number, values: readonly number[]): void {
  if (values.length === 0) return;
  const packed = message();
  for (const value of values) append(packed, varint(toInt64(value)));
  put(to, number, packed);
}

function putFloats(to: Message, number: number, values: readonly number[], packed: boolean): void {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  if (packed) {
    if (values.length > 0) putBytes(to, number, bytes);
    return;
  }
  append(to, tag(number, 5));
  append(to, bytes);
}
