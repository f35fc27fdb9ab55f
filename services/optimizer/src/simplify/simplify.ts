import { setImmediate as nextTurn } from 'node:timers/promises';
import { cloneModel, densify, expandFunctions, removeUnused } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { foldBatchNorm } from '../quantize/fold-batch-norm.js';
import { foldBiases, normalizedAsGemm } from './biases.js';
import { takeBranches } from './branches.js';
import { shareConstants, shareNodes } from './duplicates.js';
import { foldFactors } from './factors.js';
import { foldInRunner } from './fold-in-runner.js';
import { foldKnown, storeConstants } from './fold-known.js';
import { knownValues } from './known-values.js';
import { removeNoOps } from './no-ops.js';
import { foldPads } from './pads.js';
import { fixShapes, mergeReshapes } from './reshapes.js';
import { inScope } from './scope.js';
import type { Scope } from './scope.js';
import { mergeTransposes, raiseTransposes } from './transposes.js';

export interface SimplifyOptions {
  /** Bytes that constants may take more than what they were computed from. */
  readonly mostBytes: number;
  readonly signal: AbortSignal;
}

/** What was done, in words for a report, and how often. */
export type Done = ReadonlyMap<string, number>;

/** Every rewrite makes a graph smaller or its shapes constant, so that there is an end to it. */
const rewrites: readonly (readonly [words: string, rewrite: (scope: Scope) => number])[] = [
  ['branches taken', takeBranches],
  ['constant nodes stored', storeConstants],
  ['small constants computed', foldKnown],
  ['shapes made constant', fixShapes],
  ['nodes that change nothing removed', removeNoOps],
  ['transpositions merged', mergeTransposes],
  ['transpositions merged', raiseTransposes],
  ['reshapes merged', mergeReshapes],
  ['paddings folded into convolutions', foldPads],
  ['factors folded into weights', foldFactors],
  ['sums folded into biases', foldBiases],
  ['normalized products made Gemms', normalizedAsGemm],
  ['equal nodes shared', shareNodes],
  ['equal constants shared', shareConstants],
];

/** A model that answers the same with less: a copy, and what was done to it. */
export async function simplify(parent: Model, options: SimplifyOptions): Promise<{ model: Model; done: Done }> {
  const done = new Map<string, number>();
  const count = (words: string, changes: number) => {
    if (changes > 0) done.set(words, (done.get(words) ?? 0) + changes);
    return changes;
  };
  const model = densify(cloneModel(expandFunctions(parent)));
  count('functions written out', parent.functions.length);
  const { graph } = model;
  // what an initializer fills is none of the caller's to give
  graph.inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  model.irVersion = Math.max(model.irVersion, 4);
  count('unused nodes and constants removed', unused(model));

  for (let changes = 1; changes > 0;) {
    const known = knownValues(model);
    changes = 0;
    for (const [words, rewrite] of rewrites) {
      options.signal.throwIfAborted();
      await nextTurn();
      changes += count(words, inScope(model, known, rewrite));
    }
    changes += count('batch normalizations folded into weights', foldBatchNorm(model, { keepShared: true }));
    if (changes === 0) {
      changes = count('constants computed in a runner', await foldInRunner(model, known, options));
    }
  }
  return { model, done };
}

function unused({ graph }: Model): number {
  const size = () => graph.nodes.length + graph.initializers.size;
  const before = size();
  removeUnused(graph);
  return before - size();
}
