import type { Model } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import { multiplyAddsOf } from '../analyze.js';
import { byMagnitude } from './channel-importance.js';
import type { ImportanceMeasure } from './channel-importance.js';
import { channelGroups } from './channel-groups.js';
import type { ChannelGroups } from './channel-groups.js';
import { constantsAsInitializers } from './constants-as-initializers.js';
import { cutChannels } from './cut-channels.js';
import { fixShapes } from './fixed-shapes.js';

export interface StructuredPruning {
  /** Share of the removable channels to remove; 0 where multiply-adds decide. */
  readonly ratio: number;
  /** Share of the multiply-adds to come down to, by as few channels as do; 0 where the ratio decides. */
  readonly multiplyAdds: number;
  /** Widths that were cut become multiples of this. */
  readonly roundTo: number;
}

export interface StructurallyPruned {
  readonly model: Model;
  readonly removed: number;
  /** Of the channels that could be removed. */
  readonly channels: number;
  readonly groups: number;
  /** Of one example, before and after. */
  readonly multiplyAdds: readonly [number, number];
}

/** However little it matters, of a layer's channels this share stays. */
const leastKept = 0.1;

/**
 * Removes whole channels and neurons, those of least importance of the whole model first, from a copy. A set of
 * channels that go together counts as one. Throws a JobFailedError where there is nothing to remove.
 */
export function pruneStructured(
  parent: Model,
  asked: StructuredPruning,
  measure: ImportanceMeasure = byMagnitude,
): StructurallyPruned {
  const pruned = cutLeast(parent, asked, measure);
  if (pruned.removed === 0) throw nothingRemoved(pruned.channels, asked.roundTo);
  return pruned;
}

export const nothingRemoved = (channels: number, roundTo: number) =>
  new JobFailedError(
    `no channel is removed: the layers' widths, of ${channels} channels together, cannot become less as asked ` +
      `and stay multiples of ${roundTo}`,
  );

/** As pruneStructured, but that nothing may be removed where widths are rounded. */
export function cutLeast(parent: Model, asked: StructuredPruning, measure: ImportanceMeasure): StructurallyPruned {
  const model = constantsAsInitializers(parent);
  fixShapes(model);
  const all = channelGroups(model);
  const importance = measure(model, all);
  const groups = all.groups
    .map((group) => group.filter((set) => importance.has(set)))
    .filter((group) => group.length > 1);
  const found = { ...all, groups };
  const channels = groups.flat().length;
  if (channels === 0) {
    throw new JobFailedError(
      all.groups.length > 0
        ? 'there is no channel to remove: none that can be removed has the importance asked for'
        : 'there is no channel to remove: every layer either makes an output of the model or is read by an operator ' +
            'that needs all its channels',
    );
  }
  const ranked = rankedChannels(found, importance);
  const dense = multiplyAddsOf(model);
  const removedBy = (count: number) => rounded(found, ranked.slice(0, count), asked.roundTo);
  const count =
    asked.ratio > 0
      ? Math.floor(asked.ratio * channels + 1e-9)
      : fewest(
          ranked.length,
          (some) => multiplyAddsOf(cutChannels(model, found, removedBy(some))) <= asked.multiplyAdds * dense,
        );
  if (count === undefined) {
    throw new JobFailedError(
      `${share(asked.multiplyAdds)} of the multiply-adds cannot be reached: without every channel that can be removed, ` +
        `${share(multiplyAddsOf(cutChannels(model, found, removedBy(ranked.length))) / dense)} are left`,
    );
  }
  const removed = removedBy(count);
  const cut = cutChannels(model, found, removed);
  return {
    model: cut,
    removed: removed.size,
    channels,
    groups: groups.length,
    multiplyAdds: [dense, multiplyAddsOf(cut)],
  };
}

const share = (part: number) => `${Number((100 * part).toPrecision(3))} %`;

/** Sets of channels, the least important first, without those that every layer keeps. */
function rankedChannels(found: ChannelGroups, importance: ReadonlyMap<number, number>): number[] {
  const scoreOf = (set: number) => importance.get(set) ?? 0;
  const bestOf = (sets: readonly number[]) => sets.reduce((a, b) => (scoreOf(b) > scoreOf(a) ? b : a));
  const stay = new Set(found.flow.parts.map((part) => bestOf(part.map((channel) => found.flow.setOf(channel)))));
  const ranked = found.groups.flatMap((group) => {
    const own = group.map(scoreOf);
    const mean = own.reduce((a, b) => a + b, 0) / own.length || 1;
    return group
      .map((set, i) => ({ set, score: own[i]! / mean }))
      .sort((a, b) => a.score - b.score)
      .slice(0, group.length - Math.max(1, Math.ceil(leastKept * group.length)))
      .filter(({ set }) => !stay.has(set));
  });
  return ranked.sort((a, b) => a.score - b.score).map(({ set }) => set);
}

/** Of each group as many of the least important as leave a multiple. */
function rounded({ flow, groups }: ChannelGroups, least: readonly number[], multiple: number): Set<number> {
  const removed = new Set(least);
  const order = new Map(least.map((set, i) => [set, i] as const));
  for (const group of groups) {
    const own = group.filter((set) => removed.has(set)).sort((a, b) => order.get(b)! - order.get(a)!);
    const widths = flow.made
      .map((made) => made.map((channel) => flow.setOf(channel)))
      .filter((made) => made.some((set) => group.includes(set)));
    const isRound = () =>
      widths.every((sets) => {
        const kept = sets.filter((set) => !removed.has(set)).length;
        return kept === sets.length || kept % multiple === 0;
      });
    while (own.length > 0 && !isRound()) removed.delete(own.shift()!);
  }
  return removed;
}

/** The least count that is enough; undefined where all are not. */
function fewest(most: number, isEnough: (count: number) => boolean): number | undefined {
  if (!isEnough(most)) return undefined;
  let [low, high] = [0, most];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isEnough(middle)) high = middle;
    else low = middle + 1;
  }
  return high;
}
