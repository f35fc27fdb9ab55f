import { renamedTensor, subgraphsOf, valueNames } from '@modelmill/onnx';
import type { Graph, Node } from '@modelmill/onnx';
import { numbersOf } from './numbers-of.js';
import { isOperator } from './scope.js';
import type { Scope } from './scope.js';

/** An If whose condition is a constant becomes the nodes of the branch that is taken. */
export function takeBranches(scope: Scope): number {
  return scope.each((node) => {
    const condition = isOperator(node, 'If') ? numbersOf(scope.constant(node.inputs[0]))?.[0] : undefined;
    if (condition === undefined) return false;
    const branch = node.attributes.get(condition === 0 ? 'else_branch' : 'then_branch');
    return branch?.kind === 'graph' && inline(scope, node, branch.value);
  });
}

function inline(scope: Scope, node: Node, branch: Graph): boolean {
  // graphs further inside may read a name that changes here
  if (branch.nodes.some((inner) => subgraphsOf(inner).length > 0) || branch.sparseInitializers.size > 0) return false;
  const around = new Map<string, string>();
  for (const name of valueNames(branch)) around.set(name, scope.freshName(name));
  const named = (name: string) => around.get(name) ?? name;
  const moved = branch.nodes.map((inner) => ({
    ...inner,
    inputs: inner.inputs.map(named),
    outputs: inner.outputs.map((name) => (name === '' ? '' : named(name))),
    attributes: new Map(inner.attributes),
  }));
  for (const tensor of branch.initializers.values()) {
    const name = named(tensor.name);
    scope.graph.initializers.set(name, renamedTensor(tensor, name));
  }
  for (const inner of moved) scope.add(inner);
  branch.outputs.forEach(({ name }, i) => {
    const output = node.outputs[i];
    if (output) scope.add(identity(named(name), output));
  });
  // last, so that what only the branch reads is not taken for unused
  scope.remove(node);
  return true;
}

const identity = (from: string, to: string): Node => ({
  name: `Identity:${to}`,
  opType: 'Identity',
  domain: '',
  inputs: [from],
  outputs: [to],
  attributes: new Map(),
});
