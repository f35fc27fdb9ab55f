import { subgraphsOf } from './edit.js';
import { functionKey } from './function-calls.js';
import { OnnxFormatError } from './model.js';
import type { Attribute, FunctionDef, Graph, Model, Node } from './model.js';
import { quoted } from './quoted.js';
import { renamedTensor } from './tensor.js';

/** Since this set of ai.onnx, operators that changed read older forms of themselves. */
const lowestMixed = 13;

/**
 * The model with the nodes of its functions in place of the nodes that call them; names of the graph stay, those from
 * inside a function begin with the call's. The model given is not changed. Throws OnnxFormatError where a function calls
 * itself, or is written in another operator set that would say something else.
 */
export function expandFunctions(model: Model): Model {
  if (model.functions.length === 0) return model;
  const defs = new Map(model.functions.map((def) => [functionKey(def.domain, def.name), def]));
  const fresh = freshNames(model.graph);
  const expanding = new Set<FunctionDef>();

  const expand = (nodes: readonly Node[]): Node[] =>
    nodes.flatMap((node) => {
      const def = defs.get(functionKey(node.domain, node.opType));
      if (!def) return [withSubgraphs(node, (inner) => ({ ...inner, nodes: expand(inner.nodes) }))];
      if (expanding.has(def)) throw new OnnxFormatError(`function ${quoted(def.name)} calls itself`);
      checkSet(def, model.opsets);
      expanding.add(def);
      const made = expand(bodyOf(def, node, fresh));
      expanding.delete(def);
      return made;
    });

  const graph = { ...model.graph, nodes: expand(model.graph.nodes) };
  const used = new Set(domainsOf(graph));
  const opsets = new Map([...model.opsets].filter(([domain]) => domain === '' || used.has(domain)));
  return { ...model, opsets, graph, functions: [] };
}

/** A function's nodes with a call's values and attributes in them. */
function bodyOf(def: FunctionDef, call: Node, fresh: (name: string) => string): Node[] {
  const prefix = call.name || call.outputs.find((name) => name !== '') || def.name;
  const names = new Map<string, string>([['', '']]);
  def.inputs.forEach((name, i) => names.set(name, call.inputs[i] ?? ''));
  const after: Node[] = [];
  def.outputs.forEach((name, i) => {
    const wanted = call.outputs[i] ?? '';
    if (wanted === '') return;
    // an output that is an input, or another output as well
    if (names.has(name)) after.push(identity(names.get(name)!, wanted));
    else names.set(name, wanted);
  });
  const attributes: ReadonlyMap<string, Attribute> = new Map([...def.defaults, ...call.attributes]);
  const nameOf = (around: Map<string, string>) => (name: string) => {
    const known = around.get(name);
    if (known !== undefined) return known;
    const made = fresh(`${prefix}/${name}`);
    around.set(name, made);
    return made;
  };
  const renamed = (node: Node, around: Map<string, string>): Node => {
    const of = nameOf(around);
    const inputs = node.inputs.map(of);
    while (inputs.at(-1) === '') inputs.pop();
    const resolved = [...node.attributes].flatMap(([name, value]): [string, Attribute][] => {
      if (value.kind !== 'reference') return [[name, value]];
      const found = attributes.get(value.value);
      // neither said nor with a default: what the operator does without it
      return found ? [[name, found]] : [];
    });
    const moved = {
      ...node,
      name: `${prefix}/${node.name || node.opType}`,
      inputs,
      outputs: node.outputs.map(of),
      attributes: new Map(resolved),
    };
    return withSubgraphs(moved, (inner) => graphIn(inner, around));
  };
  /** A graph inside the function reads the function's values, and has names of its own. */
  const graphIn = (graph: Graph, around: Map<string, string>): Graph => {
    const own = new Map(around);
    const of = nameOf(own);
    const info = (value: Graph['inputs'][number]) => ({ ...value, name: of(value.name) });
    return {
      ...graph,
      inputs: graph.inputs.map(info),
      initializers: new Map(
        [...graph.initializers].map(([name, tensor]) => [of(name), renamedTensor(tensor, of(name))]),
      ),
      sparseInitializers: new Map([...graph.sparseInitializers].map(([name, tensor]) => [of(name), tensor])),
      nodes: graph.nodes.map((node) => renamed(node, own)),
      outputs: graph.outputs.map(info),
      valueInfo: [],
    };
  };
  // names of the function first: graphs inside it may stand before what they read
  for (const { outputs } of def.nodes) outputs.forEach(nameOf(names));
  return [...def.nodes.map((node) => renamed(node, names)), ...after];
}

const identity = (from: string, to: string): Node => ({
  name: `Identity:${to}`,
  opType: 'Identity',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: new Map(),
});

function withSubgraphs(node: Node, change: (inner: Graph) => Graph): Node {
  if (subgraphsOf(node).length === 0) return node;
  const attributes = [...node.attributes].map(([name, value]): [string, Attribute] => {
    if (value.kind === 'graph') return [name, { kind: 'graph', value: change(value.value) }];
    return [name, value.kind === 'graphs' ? { kind: 'graphs', value: value.value.map(change) } : value];
  });
  return { ...node, attributes: new Map(attributes) };
}

function checkSet(def: FunctionDef, opsets: ReadonlyMap<string, number>): void {
  const [own, around] = [def.opsets.get(''), opsets.get('')];
  if (own === undefined || around === undefined || own === around || Math.min(own, around) >= lowestMixed) return;
  throw new OnnxFormatError(
    `function ${quoted(def.name)} is written in operator set ${own}, the model in ${around}: wants one set, or ${lowestMixed} and later`,
  );
}

const domainsOf = (graph: Graph): string[] =>
  graph.nodes.flatMap((node) => [node.domain, ...subgraphsOf(node).flatMap(domainsOf)]);

function namesIn(graph: Graph): string[] {
  const { inputs, initializers, sparseInitializers, nodes } = graph;
  const inner = nodes.flatMap((node) => [...node.outputs, ...subgraphsOf(node).flatMap(namesIn)]);
  return [...inputs.map(({ name }) => name), ...initializers.keys(), ...sparseInitializers.keys(), ...inner];
}

/** Names that no value of the graph has, and none that was made before. */
function freshNames(graph: Graph): (wanted: string) => string {
  const taken = new Set(namesIn(graph));
  return (wanted) => {
    let name = wanted;
    for (let i = 1; taken.has(name); i++) name = `${wanted}_${i}`;
    taken.add(name);
    return name;
  };
}
