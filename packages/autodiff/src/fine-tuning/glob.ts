import { globPattern } from '@modelmill/onnx';
import type { Graph } from '@modelmill/onnx';
import { TrainingFormError } from '../errors.js';

/**
 * Those of the weights whose own name, or that of a node that reads them, fits a glob: exporters keep the names of layers
 * for nodes. Throws TrainingFormError for a glob that fits none.
 */
export function weightsNamed(graph: Graph, weights: readonly string[], globs: readonly string[], field: string) {
  const readers = new Map<string, string[]>(weights.map((weight) => [weight, [weight]]));
  for (const { name, inputs } of graph.nodes) for (const input of inputs) readers.get(input)?.push(name);
  const found = new Set<string>();
  globs.forEach((glob, i) => {
    const pattern = globPattern(glob);
    const fitting = weights.filter((weight) => readers.get(weight)!.some((name) => pattern.test(name)));
    if (fitting.length === 0) {
      const some = weights.slice(0, 5).join(', ') || 'none';
      throw new TrainingFormError(`${field}[${i}] is '${glob}', which fits no weight: there are ${some}, …`);
    }
    for (const weight of fitting) found.add(weight);
  });
  return found;
}
