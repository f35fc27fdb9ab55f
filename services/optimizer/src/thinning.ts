import type { optimizer } from '@modelmill/contracts';
import type { Model } from '@modelmill/onnx';
import * as errors from './errors.js';
import { range } from './field-checks.js';
import { dropBlocks } from './prune/drop-blocks.js';
import { pruneStructured } from './prune/prune-structured.js';

/** How a version is made smaller before it learns from the whole one. */
export type Thinning =
  | { readonly kind: 'channels'; readonly ratio: number; readonly multiplyAdds: number; readonly roundTo: number }
  | { readonly kind: 'blocks'; readonly every: number };

/** Throws an RpcError that names the field. */
export function planThinning({ ratio, multiplyAdds, every, roundTo }: optimizer.ThinnedStudent, at: string): Thinning {
  const aims = { ratio, multiply_adds: multiplyAdds, every };
  const set = Object.entries(aims).filter(([, value]) => value !== 0);
  const [aim] = set;
  if (!aim || set.length > 1)
    throw errors.oneThinning(
      at,
      set.map(([name]) => name),
    );
  if (aim[0] === 'every') {
    if (roundTo !== 0)
      throw errors.outOfRange(`${at}.round_to`, roundTo, 'it left out: whole blocks keep their widths');
    return { kind: 'blocks', every: range(every, 2, 1000, `${at}.every`) };
  }
  if (!(aim[1] > 0 && aim[1] < 1)) throw errors.outOfRange(`${at}.${aim[0]}`, aim[1], 'more than 0 and less than 1');
  return { kind: 'channels', ratio, multiplyAdds, roundTo: range(roundTo || 1, 1, 1024, `${at}.round_to`) };
}

/** The smaller version, and what was done in a sentence. Throws JobFailedError where nothing can go. */
export function thinned(parent: Model, thinning: Thinning): { readonly model: Model; readonly note: string } {
  if (thinning.kind === 'blocks') {
    const { model, kept, blocks } = dropBlocks(parent, thinning.every);
    return { model, note: `The student began as ${kept} of the version's ${blocks} blocks that repeat.` };
  }
  const { model, removed, channels, multiplyAdds } = pruneStructured(parent, thinning);
  const [before, after] = multiplyAdds.map((count) => count.toLocaleString('en-US'));
  return {
    model,
    note:
      `The student began as the version without ${removed} of ${channels} removable channels: ` +
      `${before} multiply-adds per example became ${after}.`,
  };
}
