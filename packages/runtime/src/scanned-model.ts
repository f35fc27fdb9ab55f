import { makeNode } from '@modelmill/onnx';
import type { Attribute, Graph, Model, Node, ValueInfo } from '@modelmill/onnx';
import type { StatePair } from './stateful-session.js';

/**
 * The same model over several sets of inputs, one after the other, in one run: a Scan, whose state never leaves the device.
 * Inputs that are no state get another axis in front, and so do the outputs told.
 */
export function scannedModel(model: Model, pairs: readonly StatePair[], told: readonly string[]): Model {
  const { graph } = model;
  const isState = new Set(pairs.map(({ input }) => input));
  const states = pairs.map(({ input }) => valueOf(graph.inputs, input));
  const inputs = [...states, ...graph.inputs.filter(({ name }) => !isState.has(name))];
  const outputs = [...pairs.map(({ output }) => output), ...told].map((name) => valueOf(graph.outputs, name));
  // a graph within another takes no name of that one
  const inner = new Map([...inputs, ...outputs].map(({ name }) => [name, `each/${name}`]));
  const body: Graph = {
    ...withNames(graph, inner),
    name: `${graph.name}.each`,
    inputs: inputs.map((value) => ({ ...value, name: inner.get(value.name)! })),
    outputs: outputs.map((value) => ({ ...value, name: inner.get(value.name)! })),
    valueInfo: [],
  };
  const scan = makeNode(
    'Scan',
    inputs.map(({ name }) => name),
    outputs.map(({ name }) => name),
    {
      body: { kind: 'graph', value: body },
      num_scan_inputs: { kind: 'int', value: inputs.length - pairs.length },
    },
  );
  return {
    ...model,
    graph: {
      ...graph,
      nodes: [scan],
      initializers: new Map(),
      sparseInitializers: new Map(),
      inputs: inputs.map((value, i) => (i < pairs.length ? value : several(value))),
      outputs: outputs.map((value, i) => (i < pairs.length ? value : several(value))),
      valueInfo: [],
    },
  };
}

function valueOf(values: readonly ValueInfo[], name: string): ValueInfo {
  const found = values.find((value) => value.name === name);
  if (found === undefined) throw new Error(`'${name}' is no input or output of the model`);
  return found;
}

function several(value: ValueInfo): ValueInfo {
  if (value.shape === undefined) throw new Error(`'${value.name}' has no shape`);
  return { ...value, shape: ['runs', ...value.shape] };
}

/** Its nodes, and those of graphs within them, by other names of some values. */
function withNames(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const renamed = (name: string) => names.get(name) ?? name;
  const within = (attribute: Attribute): Attribute => {
    if (attribute.kind === 'graph') return { ...attribute, value: withNames(attribute.value, names) };
    if (attribute.kind !== 'graphs') return attribute;
    return { ...attribute, value: attribute.value.map((one) => withNames(one, names)) };
  };
  const nodes = graph.nodes.map((node): Node => {
    const attributes = new Map([...node.attributes].map(([name, attribute]) => [name, within(attribute)]));
    return { ...node, inputs: node.inputs.map(renamed), outputs: node.outputs.map(renamed), attributes };
  });
  return { ...graph, nodes };
}
