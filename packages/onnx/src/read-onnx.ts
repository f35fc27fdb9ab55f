import type { ExternalData } from './external-data.js';
import { OnnxFormatError } from './model.js';
import type { Attribute, DataType, Dim, FunctionDef, Graph, Model, Node, ValueInfo } from './model.js';
import { content, fieldsIn, fieldsOf, float, int, pushFloats, pushInts, text } from './protobuf-reader.js';
import type { ByteSource, Field } from './protobuf-reader.js';
import { quoted } from './quoted.js';
import { dataTypeOf, readSparse, readTensor } from './read-tensor.js';

/**
 * Reads an ONNX file. Tensors whose data is raw are views into its bytes; of a source, large ones are read whenever their
 * bytes are looked at, so that the model takes no memory for them. Initializers of the graph may keep their data in other
 * files, where these are given. Throws OnnxFormatError.
 */
export function readOnnx(file: Uint8Array | ByteSource, files?: ExternalData): Model {
  const model: Model = {
    irVersion: 0,
    opsets: new Map(),
    producer: '',
    metadata: new Map(),
    graph: emptyGraph(),
    functions: [],
  };
  let graphs = 0;
  for (const field of fieldsOf(file)) {
    switch (field.number) {
      case 1:
        model.irVersion = int(field);
        break;
      case 2:
        model.producer = text(field);
        break;
      case 7:
        model.graph = readGraph(field, 1, files);
        graphs++;
        break;
      case 8:
        readOpset(field, model.opsets);
        break;
      case 14:
        readEntry(field, model.metadata);
        break;
      case 20:
        throw new OnnxFormatError('the model holds training graphs, which are not taken');
      case 25:
        model.functions.push(readFunction(field));
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

/** ai.onnx has two names. */
const plainDomain = (domain: string) => (domain === 'ai.onnx' ? '' : domain);

function readOpset(message: Field, into: Map<string, number>): void {
  let domain = '';
  let version = 0;
  for (const field of fieldsIn(message, 1)) {
    if (field.number === 1) domain = text(field);
    else if (field.number === 2) version = int(field);
  }
  const name = plainDomain(domain);
  if (into.has(name)) throw new OnnxFormatError(`the operator set of domain ${quoted(name)} is named twice`);
  into.set(name, version);
}

function readEntry(message: Field, into: Map<string, string>): void {
  let key = '';
  let value = '';
  for (const field of fieldsIn(message, 1)) {
    if (field.number === 1) key = text(field);
    else if (field.number === 2) value = text(field);
  }
  into.set(key, value);
}

/** Graphs inside others have all their data in the file. */
function readGraph(message: Field, depth: number, files?: ExternalData): Graph {
  const graph = emptyGraph();
  for (const field of fieldsIn(message, depth)) {
    switch (field.number) {
      case 1:
        graph.nodes.push(readNode(field, depth + 1));
        break;
      case 2:
        graph.name = text(field);
        break;
      case 5: {
        const tensor = readTensor(field, depth + 1, files);
        putNew(graph.initializers, tensor.name, tensor, 'initializer');
        break;
      }
      case 11:
        graph.inputs.push(readValueInfo(field, depth + 1));
        break;
      case 12:
        graph.outputs.push(readValueInfo(field, depth + 1));
        break;
      case 13:
        graph.valueInfo.push(readValueInfo(field, depth + 1));
        break;
      case 15: {
        const sparse = readSparse(field, depth + 1);
        putNew(graph.sparseInitializers, sparse.values.name, sparse, 'sparse initializer');
        break;
      }
    }
  }
  return graph;
}

/** Readers differ in which of two they take, so there must not be two. */
function putNew<Value>(into: Map<string, Value>, name: string, value: Value, what: string): void {
  if (into.has(name)) throw new OnnxFormatError(`there are two of the ${what} ${quoted(name)}`);
  into.set(name, value);
}

function readNode(message: Field, depth: number): Node {
  const node: Node = { name: '', opType: '', domain: '', inputs: [], outputs: [], attributes: new Map() };
  for (const field of fieldsIn(message, depth)) {
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
        const [name, attribute] = readAttribute(field, depth + 1);
        putNew(node.attributes, name, attribute, 'attribute');
        break;
      }
      case 7:
        node.domain = plainDomain(text(field));
        break;
      case 8:
        if (text(field) !== '') throw new OnnxFormatError(`a node wants overload ${quoted(text(field))}: not taken`);
        break;
    }
  }
  return node;
}

function readAttribute(message: Field, depth: number): [string, Attribute] {
  let name = '';
  let type = 0;
  let reference = '';
  const data: Field[] = [];
  for (const field of fieldsIn(message, depth)) {
    if (field.number === 1) name = text(field);
    else if (field.number === 20) type = int(field);
    else if (field.number === 21) reference = text(field);
    else if (dataFields.has(field.number)) data.push(field);
  }
  if (reference !== '') return [name, { kind: 'reference', value: reference, type }];
  const of = dataField[type];
  if (of === undefined) return [name, { kind: 'opaque', bytes: content(message) }];
  const other = data.find(({ number }) => number !== of);
  if (other) {
    throw new OnnxFormatError(
      `attribute ${quoted(name)} of type ${type} has data in field ${other.number}, wants ${of}`,
    );
  }
  // two messages in one field would be merged, which hides what either says
  if ((type === 4 || type === 5 || type === 11) && data.length !== 1) {
    throw new OnnxFormatError(`attribute ${quoted(name)} has ${data.length} values, wants one`);
  }
  return [name, attributeOf(type, data, depth)];
}

/** Where each type of attribute keeps its data. */
const dataField: Readonly<Record<number, number>> = {
  1: 2,
  2: 3,
  3: 4,
  4: 5,
  5: 6,
  6: 7,
  7: 8,
  8: 9,
  9: 10,
  10: 11,
  11: 22,
};
const dataFields: ReadonlySet<number> = new Set(Object.values(dataField));

function attributeOf(type: number, data: readonly Field[], depth: number): Attribute {
  const last = data.at(-1);
  switch (type) {
    case 1:
      return { kind: 'float', value: last ? float(last) : 0 };
    case 2:
      return { kind: 'int', value: last ? int(last) : 0 };
    case 3:
      return { kind: 'string', value: last ? text(last) : '' };
    case 4:
      return { kind: 'tensor', value: readTensor(last!, depth + 1) };
    case 5:
      return { kind: 'graph', value: readGraph(last!, depth + 1) };
    case 6: {
      const value: number[] = [];
      for (const field of data) pushFloats(field, value);
      return { kind: 'floats', value };
    }
    case 7: {
      const value: number[] = [];
      for (const field of data) pushInts(field, value);
      return { kind: 'ints', value };
    }
    case 8:
      return { kind: 'strings', value: data.map(text) };
    case 9:
      return { kind: 'tensors', value: data.map((field) => readTensor(field, depth + 1)) };
    case 10:
      return { kind: 'graphs', value: data.map((field) => readGraph(field, depth + 1)) };
    default:
      return { kind: 'sparseTensor', value: readSparse(last!, depth + 1) };
  }
}

/** Fields of the kinds of value: tensor, sequence, map, opaque, sparse tensor, optional. */
const valueKinds: ReadonlySet<number> = new Set([1, 4, 5, 7, 8, 9]);

function readValueInfo(message: Field, depth: number): ValueInfo {
  let name = '';
  let type: Field | undefined;
  for (const field of fieldsIn(message, depth)) {
    if (field.number === 1) name = text(field);
    else if (field.number === 2) type = field;
  }
  const kinds = type ? [...fieldsIn(type, depth + 1)].filter(({ number }) => valueKinds.has(number)) : [];
  if (kinds.length > 1) throw new OnnxFormatError(`value ${quoted(name)} has ${kinds.length} types, wants one`);
  const [tensor] = kinds;
  if (tensor?.number !== 1)
    return { name, dataType: undefined, shape: undefined, opaque: type ? content(type) : new Uint8Array() };
  let dataType: DataType | undefined;
  let shape: Dim[] | undefined;
  for (const field of fieldsIn(tensor, depth + 2)) {
    if (field.number === 1) dataType = dataTypeOf(int(field));
    else if (field.number === 2) shape = readShape(field, depth + 3);
  }
  if (dataType === undefined) throw new OnnxFormatError(`value ${quoted(name)} has no element type`);
  return { name, dataType, shape };
}

function readShape(message: Field, depth: number): Dim[] {
  const shape: Dim[] = [];
  for (const field of fieldsIn(message, depth)) if (field.number === 1) shape.push(readDim(field, depth + 1));
  return shape;
}

function readDim(message: Field, depth: number): Dim {
  for (const field of fieldsIn(message, depth)) {
    if (field.number === 1) return int(field);
    if (field.number === 2) return text(field) || undefined;
  }
  return undefined;
}

function readFunction(message: Field): FunctionDef {
  const def = {
    name: '',
    domain: '',
    overload: '',
    inputs: [] as string[],
    outputs: [] as string[],
    nodes: [] as Node[],
    defaults: new Map<string, Attribute>(),
    opsets: new Map<string, number>(),
  };
  for (const field of fieldsIn(message, 1)) {
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
        def.nodes.push(readNode(field, 2));
        break;
      case 9:
        readOpset(field, def.opsets);
        break;
      case 10:
        def.domain = plainDomain(text(field));
        break;
      case 11:
        keepDefault(def.defaults, ...readAttribute(field, 2));
        break;
      case 13:
        def.overload = text(field);
        break;
    }
  }
  return { ...def, bytes: content(message) };
}

/** No default has a graph, so nobody looks into one later. */
function keepDefault(defaults: Map<string, Attribute>, name: string, value: Attribute): void {
  const { kind } = value;
  if (kind === 'graph' || kind === 'graphs' || kind === 'opaque') {
    throw new OnnxFormatError(`a function's attribute ${quoted(name)} has a graph or an unknown type as its default`);
  }
  defaults.set(name, value);
}
