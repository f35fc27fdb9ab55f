import * as errors from '../errors.js';
import { range } from '../field-checks.js';
import { finetuned, planFineTuning } from '../finetune.js';
import type { FineTuning } from '../finetune.js';
import { definePass } from '../pass-kind.js';
import { pruneStructured } from './prune-structured.js';

interface StructuredPruning extends FineTuning {
  /** One of both is 0. */
  readonly ratio: number;
  readonly multiplyAdds: number;
  readonly roundTo: number;
}

/** Whole channels and neurons are removed, and the rest is fine-tuned. */
export const structuredPruning = definePass<'pruneStructured', StructuredPruning>({
  kind: 'prune_structured',

  plan({ pruneStructured: message }, at) {
    const { ratio, multiplyAdds, roundTo } = message;
    if ((ratio === 0) === (multiplyAdds === 0)) throw errors.oneAim(at, ratio, multiplyAdds);
    const [field, value] = ratio === 0 ? ['multiply_adds', multiplyAdds] : ['ratio', ratio];
    if (!(value > 0 && value < 1)) throw errors.outOfRange(`${at}.${field}`, value, 'more than 0 and less than 1');
    return {
      ratio,
      multiplyAdds,
      roundTo: range(roundTo || 1, 1, 1024, `${at}.round_to`),
      ...planFineTuning(message, at),
    };
  },

  async make(parent, settings, context) {
    await context.onProgress('pruning', 0);
    const { model, removed, channels, groups, multiplyAdds } = pruneStructured(parent, settings);
    const [before, after] = multiplyAdds.map((count) => count.toLocaleString('en-US'));
    const share = Number(((100 * removed) / channels).toPrecision(3));
    return {
      model: await finetuned(model, settings, context),
      words: `pruned ${share} % of the channels`,
      notes: [
        `${removed} of ${channels} removable channels (in ${groups} ${groups === 1 ? 'group' : 'groups'}) are gone, ` +
          `the least important first: ${before} multiply-adds per example became ${after}. ` +
          `The rest was fine-tuned for ${settings.epochs} epochs.`,
      ],
    };
  },
});
