import type { Model } from '@modelmill/onnx';
import type { ImportanceMeasure } from './channel-importance.js';
import { cutLeast, nothingRemoved } from './prune-structured.js';
import type { StructurallyPruned, StructuredPruning } from './prune-structured.js';

export interface PruningByParts extends StructuredPruning {
  /** The same share of what is to go is removed so many times. */
  readonly parts: number;
}

interface BetweenParts {
  /** What matters in a model that is to be cut. */
  measureOf(model: Model): Promise<ImportanceMeasure>;
  /** Trains a model that was cut for the so-manieth time, counted from 0. */
  recover(model: Model, part: number): Promise<Model>;
}

/** Removes channels part by part, and lets the model recover after each. Throws a JobFailedError where nothing can go. */
export async function pruneByParts(
  parent: Model,
  { parts, ...asked }: PruningByParts,
  { measureOf, recover }: BetweenParts,
): Promise<StructurallyPruned> {
  let model = parent;
  let first: StructurallyPruned | undefined;
  let [removed, multiplyAdds] = [0, 0];
  for (let part = 0; part < parts; part++) {
    const share = (part + 1) / parts;
    const aim = first ? aimOf(asked, first, share, { removed, multiplyAdds }) : aimAt(asked, share);
    if (!aim) continue; // rounding went as far before
    const cut = cutLeast(model, { ...asked, ...aim }, await measureOf(model));
    first ??= cut;
    removed += cut.removed;
    multiplyAdds = cut.multiplyAdds[1];
    if (cut.removed > 0) model = await recover(cut.model, part);
  }
  if (!first || removed === 0) throw nothingRemoved(first?.channels ?? 0, asked.roundTo);
  return { ...first, model, removed, multiplyAdds: [first.multiplyAdds[0], multiplyAdds] };
}

type Aim = Pick<StructuredPruning, 'ratio' | 'multiplyAdds'>;

const aimAt = ({ ratio, multiplyAdds }: Aim, share: number): Aim => ({
  ratio: ratio * share,
  multiplyAdds: multiplyAdds > 0 ? 1 - (1 - multiplyAdds) * share : 0,
});

/** What a share of the whole way is for a model that has come some of it; undefined where it is there. */
function aimOf(
  asked: Aim,
  { channels, multiplyAdds: [dense] }: StructurallyPruned,
  share: number,
  now: { readonly removed: number; readonly multiplyAdds: number },
): Aim | undefined {
  const aim = aimAt(asked, share);
  if (aim.ratio > 0) {
    const ratio = (aim.ratio * channels - now.removed) / (channels - now.removed);
    return ratio > 0 ? { ratio, multiplyAdds: 0 } : undefined;
  }
  const multiplyAdds = (aim.multiplyAdds * dense) / now.multiplyAdds;
  return multiplyAdds < 1 ? { ratio: 0, multiplyAdds } : undefined;
}
