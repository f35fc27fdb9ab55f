import { OnnxFormatError, dataTypes } from './model.js';
import type {
  Attribute,
  DataType,
  Dim,
  FunctionDef,
  Graph,
  Model,
  Node,
  SparseTensor,
  Tensor,
  ValueInfo,
} from './model.js';
import { fields, float, int, pushFixed, pushInts, text } from './protobuf-reader.js';
import type { Field } from './protobuf-reader.js';
import { tensorBytes } from './tensor.js';

const typeNames = new Map<number, DataType>(
  Object.entries(dataTypes).map(([name, number]) => [number, name as DataType]),
);

function dataTypeOf(number: number): DataType {
  const name = typeNames.get(number);
  if (name === undefined) throw new OnnxFormatError(`element type ${number} is unknown`);
  return name;
}

/** Reads an ONNX file. Tensors whose data is raw are views into `bytes`. Throws OnnxFormatError. */
export function readOnnx(bytes: Uint8Array): Model {
  const model: Model = {
    irVersion: 0,
    opsets: new Map(),
    producer: '',
    metadata: new Map(),
    graph: emptyGraph(),
    functions: [],
  };
  let graphs = 0;
  for (const field of fields(bytes, 0)) {
    switch (field.number) {
      case 1:
        model.irVersion = int(field);
        break;
      case 2:
        model.producer = text(field);
        break;
      case 7:
        model.graph = readGraph(field.bytes, 1);
        graphs++;
        break;
      case 8:
        readOpset(field.bytes, model.opsets);
        break;
      case 14:
        readEntry(field.bytes, model.metadata);
        break;
      case 25:
        model.functions.push(readFunction(field.bytes));
        break;
    }
  }
  if (graphs !== 1) throw new OnnxFormatError(`an ONNX model has one graph, got ${graphs}`);
  if (model.opsets.size === 0) throw new OnnxFormatError('an ONNX model names its operator sets, got none');
  return model;
}

export const emptyGraph = (name = ''): Graph => ({
  name,
  nodes: [],
  initializers: new Map(),
  sparseInitializers: new Map(),
  inputs: [],
  outputs: [],
  valueInfo: [],
});

function readOpset(bytes: Uint8Array, into: Map<string, number>): void {
  let domain = '';
  let version = 0;
  for (const field of fields(bytes, 1)) {
    if (field.number === 1) domain = text(field);
    else if (field.number === 2) version = int(field);
  }
  into.set(domain === 'ai.onnx' ? '' : domain, version);
}

function readEntry(bytes: Uint8Array, into: Map<string, string>): void {
  let key = '';
  let value = '';
  for (const field of fields(bytes, 1)) {
    if (field.number === 1) key = text(field);
    else if (field.number === 2) value = text(field);
  }
  into.set(key, value);
}

function readGraph(bytes: Uint8Array, depth: number): Graph {
  const graph = emptyGraph();
  for (const field of fields(bytes, depth)) {
    switch (field.number) {
      case 1:
        graph.nodes.push(readNode(field.bytes, depth + 1));
        break;
      case 2:
        graph.name = text(field);
        break;
      case 5: {
        const tensor = readTensor(field.bytes, depth + 1);
        graph.initializers.set(tensor.name, tensor);
        break;
      }
      case 11:
        graph.inputs.push(readValueInfo(field.bytes, depth + 1));
        break;
      case 12:
        graph.outputs.push(readValueInfo(field.bytes, depth + 1));
        break;
      case 13:
        graph.valueInfo.push(readValueInfo(field.bytes, depth + 1));
        break;
      case 15: {
        const sparse = readSparse(field.bytes, depth + 1);
        graph.sparseInitializers.set(sparse.values.name, sparse);
        break;
      }
    }
  }
  return graph;
}

function readNode(bytes: Uint8Array, depth: number): Node {
  const node: Node = { name: '', opType: '', domain: '', inputs: [], outputs: [], attributes: new Map() };
  for (const field of fields(bytes, depth)) {
    switch (field.number) {
      case 1:
        node.inputs.push(text(field));
        break;
      case 2:
        node.outputs.push(text(field));
        break;
      case 3:
        node.name = text(field);
        break;
      case 4:
        node.opType = text(field);
        break;
      case 5: {
        const [name, attribute] = readAttribute(field.bytes, depth + 1);
        node.attributes.set(name, attribute);
        break;
      }
      case 7: {
        const domain = text(field);
        node.domain = domain === 'ai.onnx' ? '' : domain;
        break;
      }
    }
  }
  return node;
}

function readAttribute(bytes: Uint8Array, depth: number): [string, Attribute] {
  let name = '';
  let type = 0;
  let reference = '';
  const all: Field[] = [];
  for (const field of fields(bytes, depth)) {
    if (field.number === 1) name = text(field);
    else if (field.number === 20) type = int(field);
    else if (field.number === 21) reference = text(field);
    else all.push(field);
  }
  if (reference !== '') return [name, { kind: 'reference', value: reference, type }];
  return [name, attributeOf(type, all, bytes, depth)];
}

function attributeOf(type: number, all: readonly Field[], bytes: Uint8Array, depth: number): Attribute {
  const of = (number: number) => all.filter((field) => field.number === number);
  const last = (number: number) => of(number).at(-1);
  const inside = (number: number) => of(number).map((field) => field.bytes);
  switch (type) {
    case 1: {
      const field = last(2);
      return { kind: 'float', value: field ? float(field) : 0 };
    }
    case 2: {
      const field = last(3);
      return { kind: 'int', value: field ? int(field) : 0 };
    }
    case 3: {
      const field = last(4);
      return { kind: 'string', value: field ? text(field) : '' };
    }
    case 4:
      return { kind: 'tensor', value: readTensor(last(5)?.bytes ?? new Uint8Array(), depth + 1) };
    case 5:
      return { kind: 'graph', value: readGraph(last(6)?.bytes ?? new Uint8Array(), depth + 1) };
    case 6: {
      const value: number[] = [];
      for (const field of of(7)) pushFixed(field, 4, value);
      return { kind: 'floats', value };
    }
    case 7: {
      const value: bigint[] = [];
      for (const field of of(8)) pushInts(field, value);
      return { kind: 'ints', value: value.map(Number) };
    }
    case 8:
      return { kind: 'strings', value: of(9).map(text) };
    case 9:
      return { kind: 'tensors', value: inside(10).map((tensor) => readTensor(tensor, depth + 1)) };
    case 10:
      return { kind: 'graphs', value: inside(11).map((graph) => readGraph(graph, depth + 1)) };
    case 11:
      return { kind: 'sparseTensor', value: readSparse(last(22)?.bytes ?? new Uint8Array(), depth + 1) };
    default:
      return { kind: 'opaque', bytes };
  }
}

function readSparse(bytes: Uint8Array, depth: number): SparseTensor {
  let values: Tensor | undefined;
  let indices: Tensor | undefined;
  const dims: bigint[] = [];
  for (const field of fields(bytes, depth)) {
    if (field.number === 1) values = readTensor(field.bytes, depth + 1);
    else if (field.number === 2) indices = readTensor(field.bytes, depth + 1);
    else if (field.number === 3) pushInts(field, dims);
  }
  if (!values || !indices) throw new OnnxFormatError('a sparse tensor wants values and indices');
  return { values, indices, dims: dims.map(Number) };
}

/** The file names data outside itself, which this mesh never reads. */
export class ExternalDataError extends OnnxFormatError {}

function readTensor(bytes: Uint8Array, depth: number): Tensor {
  let name = '';
  let dataType: DataType = 'float';
  let raw: Uint8Array | undefined;
  const dims: bigint[] = [];
  const typed: Field[] = [];
  let external = false;
  for (const field of fields(bytes, depth)) {
    switch (field.number) {
      case 1:
        pushInts(field, dims);
        break;
      case 2:
        dataType = dataTypeOf(int(field));
        break;
      case 8:
        name = text(field);
        break;
      case 9:
        raw = field.bytes;
        break;
      case 13:
        external = true;
        break;
      case 14:
        external ||= int(field) === 1;
        break;
      case 4:
      case 5:
      case 6:
      case 7:
      case 10:
      case 11:
        typed.push(field);
        break;
    }
  }
  if (external) throw new ExternalDataError(`tensor '${name}' keeps its data in another file, which is refused`);
  const sizes = dims.map(Number);
  checkDims(name, dims);
  const content = raw ?? typedBytes(dataType, typed, sizes);
  const wanted = tensorBytes(dataType, sizes);
  if (wanted !== undefined && content.length !== wanted) {
    throw new OnnxFormatError(
      `tensor '${name}' of ${dataType} [${sizes.join(', ')}] has ${content.length} bytes, wants ${wanted}`,
    );
  }
  return { name, dataType, dims: sizes, bytes: content };
}

function checkDims(name: string, dims: readonly bigint[]): void {
  const product = dims.reduce((all, size) => all * size, 1n);
  if (dims.some((size) => size < 0n) || product > 2n ** 40n) {
    throw new OnnxFormatError(`tensor '${name}' has sizes [${dims.join(', ')}], which no tensor has`);
  }
}

/** Data of the typed fields as raw bytes. Narrow types travel one to an int32. */
function typedBytes(dataType: DataType, typed: readonly Field[], dims: readonly number[]): Uint8Array {
  const ints: bigint[] = [];
  const numbers: number[] = [];
  const strings: Uint8Array[] = [];
  for (const field of typed) {
    if (field.number === 4) pushFixed(field, 4, numbers);
    else if (field.number === 10) pushFixed(field, 8, numbers);
    else if (field.number === 6) strings.push(field.bytes);
    else pushInts(field, ints);
  }
  switch (dataType) {
    case 'string':
      return lengthPrefixed(strings);
    case 'float':
    case 'complex64':
      return new Uint8Array(Float32Array.from(numbers).buffer);
    case 'double':
    case 'complex128':
      return new Uint8Array(Float64Array.from(numbers).buffer);
    case 'int64':
    case 'uint64':
      return new Uint8Array(BigInt64Array.from(ints, (value) => BigInt.asIntN(64, value)).buffer);
    default: {
      const count = dims.reduce((product, size) => product * size, 1);
      const width = count === 0 ? 1 : (tensorBytes(dataType, dims) ?? 0) / count;
      // 4-bit types come packed, two to an int32's low byte
      const size = width < 1 ? 1 : width;
      const bytes = new Uint8Array(ints.length * size);
      ints.forEach((value, i) => {
        for (let byte = 0; byte < size; byte++) bytes[i * size + byte] = Number((value >> BigInt(8 * byte)) & 0xffn);
      });
      return bytes;
    }
  }
}

function lengthPrefixed(strings: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(strings.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const string of strings) {
    view.setUint32(at, string.length, true);
    bytes.set(string, at + 4);
    at += 4 + string.length;
  }
  return bytes;
}

function readValueInfo(bytes: Uint8Array, depth: number): ValueInfo {
  let name = '';
  let type: Uint8Array | undefined;
  for (const field of fields(bytes, depth)) {
    if (field.number === 1) name = text(field);
    else if (field.number === 2) type = field.bytes;
  }
  const tensor = type && [...fields(type, depth + 1)].find(({ number }) => number === 1);
  if (!type || !tensor) return { name, dataType: undefined, shape: undefined, opaque: type ?? new Uint8Array() };
  let dataType: DataType = 'float';
  let shape: Dim[] | undefined;
  for (const field of fields(tensor.bytes, depth + 2)) {
    if (field.number === 1) dataType = dataTypeOf(int(field));
    else if (field.number === 2)
      shape = [...fields(field.bytes, depth + 3)].map((dim) => readDim(dim.bytes, depth + 4));
  }
  return { name, dataType, shape };
}

function readDim(bytes: Uint8Array, depth: number): Dim {
  for (const field of fields(bytes, depth)) {
    if (field.number === 1) return int(field);
    if (field.number === 2) return text(field);
  }
  return undefined;
}

function readFunction(bytes: Uint8Array): FunctionDef {
  const def = {
    name: '',
    domain: '',
    overload: '',
    inputs: [] as string[],
    outputs: [] as string[],
    nodes: [] as Node[],
  };
  for (const field of fields(bytes, 1)) {
    switch (field.number) {
      case 1:
        def.name = text(field);
        break;
      case 4:
        def.inputs.push(text(field));
        break;
      case 5:
        def.outputs.push(text(field));
        break;
      case 7:
        def.nodes.push(readNode(field.bytes, 2));
        break;
      case 10:
        def.domain = text(field);
        break;
      case 13:
        def.overload = text(field);
        break;
    }
  }
  return { ...def, bytes };
}
