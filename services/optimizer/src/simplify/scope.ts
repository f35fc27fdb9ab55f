import { freshNames, removeUnused, renamedTensor, subgraphsOf, valueNames, valuesRead } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import type { KnownValues } from './known-values.js';

/** A graph that is being rewritten, with what makes and what reads each of its values. */
export interface Scope {
  readonly graph: Graph;
  readonly opset: number;
  readonly known: KnownValues;
  /** Those that are left, in graph order. */
  nodes(): Node[];
  /** Shows each node that is left, and counts those that were rewritten. */
  each(rewrite: (node: Node) => boolean): number;
  producer(value: string): Node | undefined;
  /** Each once; nodes whose inner graphs read it, too. */
  readers(value: string): readonly Node[];
  /** The node that alone reads the first output of another, by one input; undefined where something else knows the value. */
  onlyReader(node: Node): Node | undefined;
  /** Whether a value must stay under its name: an output of the graph, or read by an inner graph. */
  isHeld(value: string): boolean;
  /** An initializer, or what follows from constants. */
  constant(value: string | undefined): Tensor | undefined;
  /** Whether training changes a constant: a float initializer with an axis. */
  isTrained(value: string): boolean;
  freshName(wanted: string): string;
  /** Adds a constant under its name, or one like it that is free. Its name. */
  addConstant(tensor: Tensor, isTrained: boolean): string;
  add(node: Node): void;
  change(node: Node, change: (node: Node) => void): void;
  /** Takes a node out, and every producer before it that nothing needs any more. */
  remove(node: Node): void;
  /** Takes a node out whose first output is the same as another value. False where both must stay under their names. */
  dissolve(node: Node, same: string): boolean;
}

/** Rewrites a graph in place by what `rewrite` does in a scope; what is not used afterwards is gone. */
export function inScope(model: Model, known: KnownValues, rewrite: (scope: Scope) => number): number {
  const { scope, left } = openScope(model, known);
  const changes = rewrite(scope);
  if (changes === 0) return 0;
  model.graph.nodes = [...left];
  removeUnused(model.graph);
  return changes;
}

function openScope(model: Model, known: KnownValues): { scope: Scope; left: ReadonlySet<Node> } {
  const { graph } = model;
  const left = new Set(graph.nodes);
  const fresh = freshNames(valueNames(graph));
  const producers = new Map<string, Node>();
  const readers = new Map<string, Set<Node>>();
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const captured = new Set<string>();
  for (const node of graph.nodes) link(node);

  function link(node: Node): void {
    for (const name of node.outputs) if (name !== '') producers.set(name, node);
    const read = valuesRead(node);
    for (const name of read) {
      const others = readers.get(name);
      if (others) others.add(node);
      else readers.set(name, new Set([node]));
    }
    if (subgraphsOf(node).length === 0) return;
    for (const name of read) captured.add(name);
  }
  function unlink(node: Node): void {
    for (const name of node.outputs) if (producers.get(name) === node) producers.delete(name);
    for (const name of valuesRead(node)) readers.get(name)?.delete(node);
  }
  const isHeld = (value: string) => outputs.has(value) || captured.has(value);
  const isRead = (value: string) => (readers.get(value)?.size ?? 0) > 0;

  const scope: Scope = {
    graph,
    opset: model.opsets.get('') ?? 0,
    known,
    nodes: () => [...left],
    each: (rewrite) => [...left].filter((node) => left.has(node) && rewrite(node)).length,
    producer: (value) => producers.get(value),
    readers: (value) => [...(readers.get(value) ?? [])],
    onlyReader(node) {
      const [value, ...more] = node.outputs as [string];
      const [reader, another] = readers.get(value) ?? [];
      if (!reader || another || isHeld(value) || more.some((name) => isRead(name) || isHeld(name))) return undefined;
      return reader.inputs.filter((input) => input === value).length === 1 ? reader : undefined;
    },
    isHeld,
    constant(value) {
      if (value === undefined || value === '') return undefined;
      const made = producers.get(value);
      const own = made?.opType === 'Constant' ? made.attributes.get('value') : undefined;
      return graph.initializers.get(value) ?? (own?.kind === 'tensor' ? own.value : known.constant(value));
    },
    isTrained(value) {
      const tensor = graph.initializers.get(value);
      return tensor?.dataType === 'float' && tensor.dims.length > 0;
    },
    freshName: fresh,
    addConstant(tensor, isTrained) {
      const name = fresh(tensor.name);
      const named = renamedTensor(tensor, name);
      if (isTrained || tensor.dataType !== 'float' || tensor.dims.length === 0) graph.initializers.set(name, named);
      else scope.add(constantNode(named));
      return name;
    },
    add(node) {
      left.add(node);
      link(node);
    },
    change(node, change) {
      unlink(node);
      change(node);
      link(node);
    },
    remove(node) {
      if (!left.delete(node)) return;
      unlink(node);
      for (const name of valuesRead(node)) {
        const source = producers.get(name);
        if (source && source.outputs.every((value) => !isRead(value) && !outputs.has(value))) scope.remove(source);
      }
    },
    dissolve(node, same) {
      const [value] = node.outputs as [string];
      if (captured.has(value)) return false;
      const source = producers.get(same);
      if (outputs.has(value)) {
        // the graph's output keeps its name: what makes the other value makes it under this one
        if (!source || isHeld(same)) return false;
        left.delete(node);
        unlink(node);
        rename(source, same, value);
        for (const reader of scope.readers(same)) redirect(reader, same, value);
        return true;
      }
      for (const reader of scope.readers(value)) redirect(reader, value, same);
      scope.remove(node);
      return true;
    },
  };
  return { scope, left };

  function rename(node: Node, from: string, to: string): void {
    scope.change(node, (one) => (one.outputs = one.outputs.map((name) => (name === from ? to : name))));
  }
  function redirect(node: Node, from: string, to: string): void {
    scope.change(node, (one) => (one.inputs = one.inputs.map((name) => (name === from ? to : name))));
  }
}

/** As initializers that training leaves alone would be, were there any. */
export const constantNode = (value: Tensor): Node => ({
  name: `Constant:${value.name}`,
  opType: 'Constant',
  domain: '',
  inputs: [],
  outputs: [value.name],
  attributes: new Map([['value', { kind: 'tensor', value }]]),
});

export const isOperator = (node: Node | undefined, ...opTypes: readonly string[]): node is Node =>
  node !== undefined && node.domain === '' && opTypes.includes(node.opType);
