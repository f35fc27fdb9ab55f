import { AdmissionError } from './admission-error.js';
import { topologicallySorted } from './edit.js';
import { OnnxFormatError } from './model.js';
import type { Attribute, FunctionDef, Graph, Model, Node, Tensor } from './model.js';
import { readOnnx } from './read-onnx.js';
import { signatureOf } from './signature.js';
import type { Signature } from './signature.js';

export interface AdmissionLimits {
  readonly fileBytes: number;
  readonly nodes: number;
  readonly initializers: number;
  readonly functions: number;
  /** Functions calling functions. */
  readonly callDepth: number;
  /** Nodes once every function is written out. */
  readonly expandedNodes: number;
  readonly subgraphDepth: number;
  readonly inputsAndOutputs: number;
  readonly rank: number;
  /** Bytes of a name. */
  readonly nameBytes: number;
  readonly opsets: readonly [lowest: number, highest: number];
}

const defaults: AdmissionLimits = {
  fileBytes: 2 ** 31 - 1,
  nodes: 50_000,
  initializers: 10_000,
  functions: 256,
  callDepth: 32,
  expandedNodes: 200_000,
  subgraphDepth: 8,
  inputsAndOutputs: 64,
  rank: 8,
  nameBytes: 256,
  opsets: [7, 23],
};

/** Loops may never end, and what they and branches do cannot be bounded by looking. */
const refusedOperators = new Set(['Loop', 'Scan', 'If']);
const admittedDomains = new Set(['', 'ai.onnx.ml']);

/**
 * Reads a model that may be hostile and checks its structure before any runtime sees it. Throws AdmissionError, which
 * says what was got and what is wanted.
 */
export function checkAdmission(
  bytes: Uint8Array,
  changed: Partial<AdmissionLimits> = {},
): { signature: Signature; model: Model } {
  const limits = { ...defaults, ...changed };
  most('the file', bytes.length, limits.fileBytes, 'bytes');
  try {
    const model = readOnnx(bytes);
    checkModel(model, limits);
    return { model, signature: signatureOf(model) };
  } catch (error) {
    if (error instanceof OnnxFormatError) throw new AdmissionError(error.message, { cause: error });
    throw error;
  }
}

function checkModel(model: Model, limits: AdmissionLimits): void {
  for (const [domain, version] of model.opsets) {
    const [lowest, highest] = limits.opsets;
    if (domain === '' && (version < lowest || version > highest)) {
      throw new AdmissionError(`the model uses operator set ${version}, wants ${lowest} to ${highest}`);
    }
  }
  const { graph, functions } = model;
  most('the model', functions.length, limits.functions, 'functions');
  checkGraph(graph, functions, limits, 0);
  for (const def of functions) for (const node of def.nodes) checkNode(node, functions, limits, 0);
  most('the model', expandedNodes(graph, functions, limits), limits.expandedNodes, 'nodes, functions written out');
  for (const value of [...graph.inputs, ...graph.outputs]) {
    if (value.shape === undefined && value.dataType === undefined) {
      throw new AdmissionError(`'${value.name}' is no tensor, which cannot be served`);
    }
    most(`'${value.name}'`, value.shape?.length ?? 0, limits.rank, 'axes');
  }
  if (graph.outputs.length === 0) throw new AdmissionError('the graph has no output');
}

function checkGraph(graph: Graph, functions: readonly FunctionDef[], limits: AdmissionLimits, depth: number): void {
  if (depth > limits.subgraphDepth) {
    throw new AdmissionError(`subgraphs are nested more than ${limits.subgraphDepth} deep`);
  }
  most('a graph', graph.nodes.length, limits.nodes, 'nodes');
  most('a graph', graph.initializers.size + graph.sparseInitializers.size, limits.initializers, 'initializers');
  most('a graph', graph.inputs.length - filled(graph), limits.inputsAndOutputs, 'inputs');
  most('a graph', graph.outputs.length, limits.inputsAndOutputs, 'outputs');
  for (const name of [...graph.initializers.keys(), ...graph.inputs.map(({ name }) => name)]) checkName(name, limits);
  for (const tensor of graph.initializers.values()) checkTensor(tensor, limits);
  for (const node of graph.nodes) checkNode(node, functions, limits, depth);
  topologicallySorted(graph);
}

const filled = (graph: Graph) => graph.inputs.filter(({ name }) => graph.initializers.has(name)).length;

function checkNode(node: Node, functions: readonly FunctionDef[], limits: AdmissionLimits, depth: number): void {
  for (const name of [node.name, ...node.inputs, ...node.outputs]) checkName(name, limits);
  const local = functions.some((def) => def.domain === node.domain && def.name === node.opType);
  if (!local && !admittedDomains.has(node.domain)) {
    throw new AdmissionError(
      `node '${node.name}' is a ${node.opType} of domain '${node.domain}', wants operators of ai.onnx or ai.onnx.ml`,
    );
  }
  if (!local && refusedOperators.has(node.opType)) {
    throw new AdmissionError(`node '${node.name}' is a ${node.opType}, which is refused: its work cannot be bounded`);
  }
  for (const attribute of node.attributes.values()) checkAttribute(attribute, functions, limits, depth);
}

function checkAttribute(
  attribute: Attribute,
  functions: readonly FunctionDef[],
  limits: AdmissionLimits,
  depth: number,
): void {
  switch (attribute.kind) {
    case 'tensor':
      return checkTensor(attribute.value, limits);
    case 'tensors':
      return attribute.value.forEach((tensor) => checkTensor(tensor, limits));
    case 'graph':
      return checkGraph(attribute.value, functions, limits, depth + 1);
    case 'graphs':
      return attribute.value.forEach((graph) => checkGraph(graph, functions, limits, depth + 1));
    default:
  }
}

function checkTensor({ name, dims }: Tensor, limits: AdmissionLimits): void {
  checkName(name, limits);
  most(`tensor '${name}'`, dims.length, limits.rank, 'axes');
}

function checkName(name: string, { nameBytes }: AdmissionLimits): void {
  // a character is at most three bytes per UTF-16 unit
  if (name.length * 3 > nameBytes && Buffer.byteLength(name) > nameBytes) {
    throw new AdmissionError(`a name has ${Buffer.byteLength(name)} bytes, wants at most ${nameBytes}`);
  }
}

/** Counted without writing anything out: every function once. Throws on recursion and on chains too deep. */
function expandedNodes(graph: Graph, functions: readonly FunctionDef[], limits: AdmissionLimits): number {
  const byName = new Map(functions.map((def) => [`${def.domain}:${def.name}`, def]));
  const counted = new Map<FunctionDef, { nodes: number; height: number }>();
  const counting = new Set<FunctionDef>();

  const count = (nodes: readonly Node[], depth: number): { nodes: number; height: number } => {
    let total = 0;
    let height = 0;
    for (const { domain, opType } of nodes) {
      const def = byName.get(`${domain}:${opType}`);
      if (!def) {
        total++;
        continue;
      }
      const inner = counted.get(def) ?? call(def, depth + 1);
      total += inner.nodes;
      height = Math.max(height, inner.height + 1);
    }
    if (height + depth > limits.callDepth) {
      throw new AdmissionError(`functions call each other more than ${limits.callDepth} deep`);
    }
    return { nodes: total, height };
  };
  const call = (def: FunctionDef, depth: number) => {
    if (counting.has(def)) throw new AdmissionError(`function '${def.name}' calls itself`);
    if (depth > limits.callDepth) {
      throw new AdmissionError(`functions call each other more than ${limits.callDepth} deep`);
    }
    counting.add(def);
    const inner = count(def.nodes, depth);
    counting.delete(def);
    counted.set(def, inner);
    return inner;
  };
  return count(graph.nodes, 0).nodes;
}

function most(what: string, got: number, limit: number, unit: string): void {
  if (got > limit) throw new AdmissionError(`${what} has ${got} ${unit}, wants at most ${limit}`);
}
