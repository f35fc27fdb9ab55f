import type { optimizer } from '@modelmill/contracts';
import { cloneModel, densify } from '@modelmill/onnx';
import * as errors from '../errors.js';
import { word } from '../field-checks.js';
import { finetuned, planFineTuning } from '../finetune.js';
import type { FineTuning } from '../finetune.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { weightFigures } from '../weighted-layers.js';
import { pruneMagnitude } from './prune-magnitude.js';
import { prunePattern } from './prune-pattern.js';
import type { Pattern } from './prune-pattern.js';
import { pruningGroups } from './pruning-groups.js';
import type { PruningGroup } from './prune-magnitude.js';
import type { PruningShares } from './pruning-groups.js';
import { gradualPruning, planSchedule, scheduleInWords } from './pruning-schedule.js';
import type { PlannedSchedule } from './pruning-schedule.js';

const scopes = ['global', 'layer'] as const;

interface MagnitudePruning extends FineTuning, PruningShares {
  /** Which weights stay, instead of the largest. */
  readonly pattern: Pattern | undefined;
  /** Zeros come step by step while fine-tuning. */
  readonly gradual: PlannedSchedule | undefined;
}

/** The smallest weights become zero, and stay it while the rest is fine-tuned. */
export const magnitudePruning = definePass<'pruneMagnitude', MagnitudePruning>({
  kind: 'prune_magnitude',

  plan({ pruneMagnitude: message }, at) {
    const shares = sharesOf(message, at);
    return {
      ...shares,
      pattern: patternOf(message.pattern, `${at}.pattern`),
      gradual: message.gradual && planSchedule(message.gradual, shares, `${at}.gradual`),
      ...planFineTuning(message, at),
    };
  },

  async make(parent, settings, context) {
    const { pattern, gradual, epochs } = settings;
    await context.onProgress('pruning', 0);
    const model = densify(parent);
    const pruned = cloneModel(model);
    const groups = pattern ? [] : pruningGroups(pruned, settings);
    if (pattern) prunePattern(pruned, pattern);
    else pruneMagnitude(pruned, groups);
    const { sparsity } = weightFigures(pruned);
    if (weightFigures(model).sparsity === sparsity) {
      throw nothingTo('prune: no weights but those that are zero would become zero');
    }
    const words = `pruned ${pattern ? `to ${pattern.kept}:${pattern.of}` : percent(settings.sparsity || sparsity)}`;
    if (!gradual) {
      return {
        model: await finetuned(pruned, settings, context, { keepZeros: true }),
        words,
        notes: [...sharesInWords(groups), `The zeros stayed zero through ${epochs} epochs of fine-tuning.`],
      };
    }
    return {
      model: await finetuned(model, settings, context, { keepZeros: true, pruning: gradualPruning(gradual, groups) }),
      words: `${words} gradually`,
      notes: [...sharesInWords(groups), scheduleInWords(gradual, epochs)],
    };
  },
});

const percent = (share: number) => `${Number((100 * share).toPrecision(4))} %`;

/** Where layers go different ways. */
function sharesInWords(groups: readonly PruningGroup[]): string[] {
  if (new Set(groups.map(({ sparsity }) => sparsity)).size < 2) return [];
  const each = groups.map(({ weights, sparsity }) => `${percent(sparsity)} of ${weights.join(', ')}`);
  return [`Zeros among the weights: ${each.join('; ')}.`];
}

function sharesOf(message: optimizer.MagnitudePruning, at: string): PruningShares {
  const { pattern, sparsity, gradual } = message;
  const scope = word(message.scope || 'global', scopes, `${at}.scope`);
  const layers = message.layers.map(({ match, sparsity: own }, i) => {
    const field = `${at}.layers[${i}]`;
    if (match === '') throw errors.emptyGlob(`${field}.match`);
    if (!(own >= 0 && own < 1)) throw errors.outOfRange(`${field}.sparsity`, own, 'at least 0 and less than 1');
    return { match, sparsity: own };
  });
  if (pattern !== '') {
    if (sparsity !== 0) throw errors.besidePattern(`${at}.sparsity`);
    if (layers.length > 0) throw errors.besidePattern(`${at}.layers`);
    if (message.scope !== '') throw errors.besidePattern(`${at}.scope`);
    if (gradual) throw errors.besidePattern(`${at}.gradual`);
    return { sparsity: 0, scope, layers };
  }
  const isOwnOnly = sparsity === 0 && layers.some((layer) => layer.sparsity > 0);
  if (!isOwnOnly && !(sparsity > 0 && sparsity < 1)) {
    throw errors.outOfRange(`${at}.sparsity`, sparsity, 'more than 0 and less than 1');
  }
  return { sparsity, scope, layers };
}

function patternOf(got: string, field: string): Pattern | undefined {
  if (got === '') return undefined;
  const [, kept, of] = /^(\d{1,2}):(\d{1,2})$/.exec(got) ?? [];
  const pattern = { kept: Number(kept), of: Number(of) };
  if (!(pattern.kept > 0 && pattern.kept < pattern.of)) throw errors.badPattern(field, got);
  return pattern;
}
