import { AdmissionError } from './admission-error.js';
import type { AdmissionLimits } from './admission-limits.js';
import { subgraphsOf } from './edit.js';
import type { FunctionDef, Model, Node } from './model.js';
import { quoted } from './quoted.js';

/** The name a node calls a function by. */
export const functionKey = (domain: string, name: string) => `${domain}:${name}`;

interface Size {
  readonly nodes: number;
  /** Calls within calls. */
  readonly height: number;
}

/**
 * Nodes once every function is written out, subgraphs included. Nothing is written out for it: every function is
 * counted once. Throws on recursion and on chains too deep.
 */
export function expandedNodes({ graph, functions }: Model, { callDepth }: AdmissionLimits): number {
  const byName = new Map(functions.map((def) => [functionKey(def.domain, def.name), def]));
  const counted = new Map<FunctionDef, Size>();
  const counting = new Set<FunctionDef>();
  const tooDeep = () => new AdmissionError(`functions call each other more than ${callDepth} deep`);

  const count = (nodes: readonly Node[], depth: number): Size => {
    let total = 0;
    let height = 0;
    const include = (inner: Size, calls: number) => {
      total += inner.nodes;
      height = Math.max(height, inner.height + calls);
    };
    for (const node of nodes) {
      const def = byName.get(functionKey(node.domain, node.opType));
      if (def) include(counted.get(def) ?? call(def, depth + 1), 1);
      else total++;
      for (const inner of subgraphsOf(node)) include(count(inner.nodes, depth), 0);
    }
    if (height + depth > callDepth) throw tooDeep();
    return { nodes: total, height };
  };
  const call = (def: FunctionDef, depth: number): Size => {
    if (counting.has(def)) throw new AdmissionError(`function ${quoted(def.name)} calls itself`);
    if (depth > callDepth) throw tooDeep();
    counting.add(def);
    const inner = count(def.nodes, depth);
    counting.delete(def);
    counted.set(def, inner);
    return inner;
  };
  return count(graph.nodes, 0).nodes;
}
