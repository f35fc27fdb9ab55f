import { densify } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import * as errors from '../errors.js';
import { finetuned, planFineTuning } from '../finetune.js';
import type { FineTuning } from '../finetune.js';
import { definePass } from '../pass-kind.js';
import { weightFigures } from '../weighted-layers.js';
import { pruneMagnitude } from './prune-magnitude.js';
import { prunePattern } from './prune-pattern.js';
import type { Pattern } from './prune-pattern.js';

interface MagnitudePruning extends FineTuning {
  readonly sparsity: number;
  /** Which weights stay, instead of the largest of all together. */
  readonly pattern: Pattern | undefined;
}

/** The smallest weights become zero, and stay it while the rest is fine-tuned. */
export const magnitudePruning = definePass<'pruneMagnitude', MagnitudePruning>({
  kind: 'prune_magnitude',

  plan({ pruneMagnitude: message }, at) {
    const pattern = patternOf(message.pattern, `${at}.pattern`);
    if (pattern && message.sparsity !== 0) throw errors.sparsityOfPattern(at);
    const sparsity = pattern ? 1 - pattern.kept / pattern.of : message.sparsity;
    if (!(sparsity > 0 && sparsity < 1)) {
      throw errors.outOfRange(`${at}.sparsity`, sparsity, 'more than 0 and less than 1');
    }
    return { sparsity, pattern, ...planFineTuning(message, at) };
  },

  async make(parent, settings, context) {
    const { pattern, sparsity, epochs } = settings;
    await context.onProgress('pruning', 0);
    const model = densify(parent);
    const prunedBefore = weightFigures(model).sparsity;
    if (pattern) prunePattern(model, pattern);
    else pruneMagnitude(model, sparsity);
    if (weightFigures(model).sparsity === prunedBefore) {
      throw new JobFailedError('there is nothing to prune: no weights but those that are zero would become zero');
    }
    const share = pattern ? `to ${pattern.kept}:${pattern.of}` : `${Number((100 * sparsity).toPrecision(4))} %`;
    return {
      model: await finetuned(model, settings, context, true),
      words: `pruned ${share}`,
      notes: [`The zeros stayed zero through ${epochs} epochs of fine-tuning.`],
    };
  },
});

function patternOf(got: string, field: string): Pattern | undefined {
  if (got === '') return undefined;
  const [, kept, of] = /^(\d{1,2}):(\d{1,2})$/.exec(got) ?? [];
  const pattern = { kept: Number(kept), of: Number(of) };
  if (!(pattern.kept > 0 && pattern.kept < pattern.of)) throw errors.badPattern(field, got);
  return pattern;
}
