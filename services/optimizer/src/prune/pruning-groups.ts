import { globPattern } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import { prunableWeights } from './prune-magnitude.js';
import type { PruningGroup } from './prune-magnitude.js';

/** What is asked of the layers of a model. */
export interface PruningShares {
  /** Of what no layer names; 0: it stays. */
  readonly sparsity: number;
  readonly scope: 'global' | 'layer';
  /** Layers with a sparsity of their own, by globs over names of weights and of nodes that read them; 0: they stay. */
  readonly layers: readonly { readonly match: string; readonly sparsity: number }[];
}

/** The groups of a model. Throws a JobFailedError for a glob that fits nothing. */
export function pruningGroups(model: Model, { sparsity, scope, layers }: PruningShares): PruningGroup[] {
  const weights = prunableWeights(model);
  const namesOf = (weight: string) => [
    weight,
    ...model.graph.nodes.filter(({ inputs }) => inputs.includes(weight)).map(({ name }) => name),
  ];
  const rest = new Set(weights);
  const own = layers.flatMap(({ match, sparsity: asked }) => {
    const pattern = globPattern(match);
    const fitting = weights.filter((weight) => namesOf(weight).some((name) => pattern.test(name)));
    if (fitting.length === 0) throw new JobFailedError(fitsNothing(match, weights));
    return fitting.filter((weight) => rest.delete(weight)).map((weight) => ({ weights: [weight], sparsity: asked }));
  });
  const others = scope === 'layer' ? [...rest].map((weight) => [weight]) : [[...rest]];
  return [...own, ...others.map((group) => ({ weights: group, sparsity }))].filter(
    (group) => group.sparsity > 0 && group.weights.length > 0,
  );
}

function fitsNothing(match: string, weights: readonly string[]): string {
  const some = weights.length > 10 ? `${weights.slice(0, 10).join(', ')}, …` : weights.join(', ') || 'none';
  return `layers name '${match}', which fits no weight that can be pruned: there are ${some}`;
}
