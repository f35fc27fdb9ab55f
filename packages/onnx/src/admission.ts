import { AdmissionError } from './admission-error.js';
import { checkName, defaultLimits, most } from './admission-limits.js';
import type { AdmissionLimits } from './admission-limits.js';
import { admittedDomains, admittedOperators, contribDomain, refusedOperators } from './admitted-operators.js';
import { checkContribOperator, isContribOperator } from './contrib-operators.js';
import { topologicallySorted, valuesRead } from './edit.js';
import { expandedNodes, functionKey } from './function-calls.js';
import type { ExternalData } from './external-data.js';
import { OnnxFormatError } from './model.js';
import type { Attribute, FunctionDef, Graph, Model, Node, SparseTensor, Tensor, ValueInfo } from './model.js';
import { content, fields } from './protobuf-reader.js';
import { quoted, sizes } from './quoted.js';
import { readOnnx } from './read-onnx.js';
import { signatureOf } from './signature.js';
import type { Signature } from './signature.js';
import { elementCount, intsOf, tensorBytes } from './tensor.js';

/**
 * Reads a model that may be hostile and checks its structure before any runtime sees it. Its initializers may keep their
 * data in the files given, and in no other. Throws AdmissionError, which says what was got and what is wanted.
 */
export function checkAdmission(
  bytes: Uint8Array,
  changed: Partial<AdmissionLimits> = {},
  files?: ExternalData,
): { signature: Signature; model: Model } {
  const limits = { ...defaultLimits, ...changed };
  most('the file', bytes.length, limits.fileBytes, 'bytes');
  try {
    checkCounts(bytes, limits);
    const model = readOnnx(bytes, files);
    checkModel(model, limits);
    return { model, signature: signatureOf(model) };
  } catch (error) {
    if (error instanceof OnnxFormatError) throw new AdmissionError(error.message, { cause: error });
    throw error;
  }
}

/** Counts before anything is read, because a node of two bytes in the file takes hundreds in memory. */
function checkCounts(bytes: Uint8Array, limits: AdmissionLimits): void {
  let functions = 0;
  let inFunctions = 0;
  for (const field of fields(bytes, 0)) {
    if (field.number === 7) {
      let nodes = 0;
      let initializers = 0;
      for (const { number } of fields(content(field), 1)) {
        if (number === 1) most('the graph', ++nodes, limits.nodes, 'or more nodes');
        if (number === 5 || number === 15)
          most('the graph', ++initializers, limits.initializers, 'or more initializers');
      }
    }
    if (field.number === 25) {
      most('the model', ++functions, limits.functions, 'or more functions');
      for (const { number } of fields(content(field), 1)) {
        if (number === 7) most('the model', ++inFunctions, limits.nodes, 'or more nodes in functions');
      }
    }
  }
}

/** What a check of one node or graph needs to know of the model around it. */
interface Around {
  readonly limits: AdmissionLimits;
  readonly functions: ReadonlySet<string>;
}

function checkModel(model: Model, limits: AdmissionLimits): void {
  const { graph, functions, opsets } = model;
  const [lowest, highest] = limits.opsets;
  const opset = opsets.get('');
  if (opset === undefined || opset < lowest || opset > highest) {
    throw new AdmissionError(
      `the model uses operator set ${opset ?? 'none'} of ai.onnx, wants ${lowest} to ${highest}`,
    );
  }
  const around = { limits, functions: new Set(functions.map(({ domain, name }) => functionKey(domain, name))) };
  if (around.functions.size < functions.length) throw new AdmissionError('two functions have one name');
  checkGraph(graph, around, new Set(), 0);
  for (const def of functions) checkFunction(def, around);
  most('the model', expandedNodes(model, limits), limits.expandedNodes, 'nodes, functions written out');
  // weights may be listed as inputs, too; the caller feeds the others
  const fed = graph.inputs.filter(({ name }) => !graph.initializers.has(name) && !graph.sparseInitializers.has(name));
  most('the graph', fed.length, limits.inputsAndOutputs, 'inputs');
  most('the graph', graph.outputs.length, limits.inputsAndOutputs, 'outputs');
  if (graph.outputs.length === 0) throw new AdmissionError('the graph has no output');
  for (const { name, dataType, shape } of fed) {
    if (dataType !== undefined && shape === undefined) {
      throw new AdmissionError(`input ${quoted(name)} has no shape, wants one: its sizes may be open, its axes not`);
    }
  }
  for (const value of [...fed, ...graph.outputs]) checkValue(value, limits);
}

function checkValue({ name, shape }: ValueInfo, limits: AdmissionLimits): void {
  most(quoted(name), shape?.length ?? 0, limits.rank, 'axes');
  if (shape?.some((size) => typeof size === 'number' && !(size >= 0 && Number.isSafeInteger(size)))) {
    throw new AdmissionError(`${quoted(name)} has sizes ${sizes(shape)}, wants none negative and none beyond 2^53`);
  }
}

function checkFunction(def: FunctionDef, around: Around): void {
  const named = `function ${quoted(def.name)}`;
  // a runtime may have an operator of that name, and take that
  if (admittedDomains.has(def.domain) || /^(ai\.onnx|com\.m(icroso|s))/.test(def.domain)) {
    throw new AdmissionError(`${named} is of domain ${quoted(def.domain)}, which is not the model's own`);
  }
  const [inputs, outputs] = [def.inputs, def.outputs].map((names) => names.map(unknownValue)) as [
    ValueInfo[],
    ValueInfo[],
  ];
  const none = { name: def.name, initializers: new Map(), sparseInitializers: new Map(), valueInfo: [] };
  checkGraph({ ...none, nodes: def.nodes, inputs, outputs }, around, new Set(), 0);
}

const unknownValue = (name: string): ValueInfo => ({
  name,
  dataType: undefined,
  shape: undefined,
  opaque: new Uint8Array(),
});

function checkGraph(graph: Graph, around: Around, outer: ReadonlySet<string>, depth: number): void {
  const { limits } = around;
  most('a subgraph', depth, limits.subgraphDepth, 'graphs around it');
  most('a graph', graph.nodes.length, limits.nodes, 'nodes');
  most('a graph', graph.initializers.size + graph.sparseInitializers.size, limits.initializers, 'initializers');
  for (const tensor of graph.initializers.values()) checkTensor(tensor, limits);
  checkSparse([...graph.sparseInitializers.values()], limits);
  const values = new Set([...outer, ...valuesMade(graph, limits)]);
  for (const node of graph.nodes) {
    checkNode(node, graph, around, values, depth);
    for (const name of valuesRead(node)) {
      if (!values.has(name)) {
        throw new AdmissionError(`node ${named(node)} reads ${quoted(name)}, which nothing in the graph makes`);
      }
    }
  }
  for (const { name } of graph.outputs) {
    if (!values.has(name)) throw new AdmissionError(`nothing in the graph makes its output ${quoted(name)}`);
  }
  const outputs = graph.outputs.map(({ name }) => name);
  if (new Set(outputs).size < outputs.length) throw new AdmissionError('two outputs of a graph have one name');
  topologicallySorted(graph);
}

const named = ({ name, opType }: Node) => `${quoted(name)} (${quoted(opType).slice(1, -1)})`;

/** Every value of a graph, which only one thing may make. */
function valuesMade(graph: Graph, limits: AdmissionLimits): ReadonlySet<string> {
  const made = new Set<string>();
  const make = (name: string) => {
    checkName(name, limits);
    if (name === '') throw new AdmissionError('an input or initializer has no name');
    if (made.has(name)) throw new AdmissionError(`there are two values named ${quoted(name)}`);
    made.add(name);
  };
  for (const { name } of graph.inputs) make(name);
  for (const name of graph.sparseInitializers.keys()) {
    if (graph.initializers.has(name)) throw new AdmissionError(`there are two values named ${quoted(name)}`);
  }
  const inputs = new Set(made);
  for (const name of [...graph.initializers.keys(), ...graph.sparseInitializers.keys()]) {
    if (!inputs.has(name)) make(name);
  }
  for (const { outputs } of graph.nodes) for (const name of outputs) if (name !== '') make(name);
  return made;
}

function checkNode(node: Node, graph: Graph, around: Around, values: ReadonlySet<string>, depth: number): void {
  for (const name of [node.name, node.opType, ...node.inputs, ...node.attributes.keys()]) {
    checkName(name, around.limits);
  }
  if (!around.functions.has(functionKey(node.domain, node.opType))) {
    if (node.domain === contribDomain && isContribOperator(node.opType)) {
      checkContribOperator(node, named(node), graph);
    } else if (!admittedDomains.has(node.domain)) {
      throw new AdmissionError(
        `node ${named(node)} is of domain ${quoted(node.domain)}, wants operators of ai.onnx or ai.onnx.ml`,
      );
    }
    if (node.domain === '' && refusedOperators.has(node.opType)) {
      throw new AdmissionError(`node ${named(node)} is refused: its work cannot be bounded`);
    }
    if (node.domain === '' && !admittedOperators.has(node.opType)) {
      throw new AdmissionError(`node ${named(node)} is no operator of ai.onnx`);
    }
  }
  for (const [name, attribute] of node.attributes) {
    if (attribute.kind === 'opaque') {
      throw new AdmissionError(`node ${named(node)} has attribute ${quoted(name)} of a type that is not taken`);
    }
    checkAttribute(attribute, around, values, depth);
  }
}

function checkAttribute(attribute: Attribute, around: Around, values: ReadonlySet<string>, depth: number): void {
  switch (attribute.kind) {
    case 'tensor':
      return checkTensor(attribute.value, around.limits);
    case 'tensors':
      return attribute.value.forEach((tensor) => checkTensor(tensor, around.limits));
    case 'sparseTensor':
      return checkSparse([attribute.value], around.limits);
    case 'graph':
      return checkGraph(attribute.value, around, values, depth + 1);
    case 'graphs':
      return attribute.value.forEach((graph) => checkGraph(graph, around, values, depth + 1));
    default:
  }
}

function checkTensor({ name, dims }: Tensor, limits: AdmissionLimits): void {
  checkName(name, limits);
  most(`tensor ${quoted(name)}`, dims.length, limits.rank, 'axes');
}

/** A runtime writes sparse tensors out, so a file of bytes could ask for terabytes: dense, they may be as large as a file. */
function checkSparse(tensors: readonly SparseTensor[], limits: AdmissionLimits): void {
  let dense = 0;
  for (const { values, indices, dims } of tensors) {
    const tensor = `sparse tensor ${quoted(values.name)}`;
    checkName(values.name, limits);
    most(tensor, dims.length, limits.rank, 'axes');
    dense += tensorBytes(values.dataType, dims) ?? 0;
    most('the dense form of the sparse tensors', dense, limits.fileBytes, 'bytes');
    const count = elementCount(values.dims);
    const linear = indices.dims.length === 1;
    const wanted = linear ? [count] : [count, dims.length];
    if (values.dims.length !== 1 || indices.dims.join() !== wanted.join()) {
      throw new AdmissionError(
        `${tensor} of ${sizes(dims)} has values ${sizes(values.dims)} and indices ${sizes(indices.dims)}, wants [count] and [count] or [count, ${dims.length}]`,
      );
    }
    const total = elementCount(dims);
    intsOf(indices).forEach((index, i) => {
      const end = linear ? total : dims[i % dims.length]!;
      if (index < 0 || index >= end) throw new AdmissionError(`${tensor} has index ${index}, wants 0 to ${end - 1}`);
    });
  }
}
