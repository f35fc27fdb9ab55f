import type { FineTuning } from '@modelmill/autodiff';
import type { trainer } from '@modelmill/contracts';
import { badLayer, excludes, outOfRange } from './errors.js';
import { layerSpecs } from './layer-specs.js';
import { positiveOr, within } from './spec-fields.js';

/** How a training goes on from its base, defaults filled in. Throws an RpcError naming the field. */
export function fineTuningSpec({ freeze, head, lora, trainStatistics, keepZeros }: trainer.BaseModel): FineTuning {
  if (lora && keepZeros) throw excludes('base.lora', 'base.keep_zeros', 'adapters fill what was zero');
  return {
    freeze: globs(freeze, 'base.freeze'),
    ...(head ? { head: headOf(head) } : {}),
    ...(lora ? { lora: loraOf(lora) } : {}),
    trainStatistics,
  };
}

function headOf({ after, layers }: trainer.Head) {
  if (layers.length === 0) throw badLayer('base.head.layers is empty, wants at least one');
  return { ...(after === '' ? {} : { after }), layers: layerSpecs(layers, 'base.head.layers') };
}

function loraOf({ rank: got, alpha, targets }: trainer.Lora) {
  const rank = positiveOr(8, got, 'base.lora.rank');
  return {
    rank,
    alpha: within(alpha || 2 * rank, 0, 1e6, 'base.lora.alpha'),
    targets: globs(targets, 'base.lora.targets'),
  };
}

function globs(patterns: readonly string[], field: string): readonly string[] {
  patterns.forEach((pattern, i) => {
    if (pattern === '' || pattern.length > 512) {
      throw outOfRange(`${field}[${i}]`, `'${pattern.slice(0, 32)}'`, 'a glob of 1 to 512 characters');
    }
    // each star multiplies what is tried
    if ((pattern.match(/\*+/g) ?? []).length > 8) throw outOfRange(`${field}[${i}]`, `'${pattern}'`, 'at most 8 stars');
  });
  return patterns;
}
