import { elementCount, floatsOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { ChannelGroups } from './channel-groups.js';

/** How much each set of channels matters. One that has no figure is none to choose from: it stays. */
export type ImportanceMeasure = (model: Model, found: ChannelGroups) => ReadonlyMap<number, number>;

/** Euclidean norm of a set's slices of each kernel or matrix, averaged over these. */
export const byMagnitude: ImportanceMeasure = (model, found) =>
  averaged(
    found.constants
      .filter(({ isMatrix }) => isMatrix)
      .map((constant) => {
        const squares = sumsOf(model, found, constant, (value) => value ** 2);
        return new Map([...squares].map(([set, square]) => [set, Math.sqrt(square)]));
      }),
  );

/** The scales that batch normalizations give a set, averaged over these (network slimming, Liu et al. 2017). */
export const byBatchNorm: ImportanceMeasure = (model, found) => {
  const normalizations = model.graph.nodes.filter(({ opType }) => opType === 'BatchNormalization');
  const scales = new Set(normalizations.map(({ inputs }) => inputs[1]!));
  const own = found.constants.filter(({ name }) => scales.has(name));
  return averaged(own.map((constant) => sumsOf(model, found, constant, Math.abs)));
};

/**
 * First-order Taylor expansion (Molchanov et al. 2019): what was summed up of |w · ∂loss/∂w|, over all a set has a slice of.
 * `sums` has that in place of each weight.
 */
export const byTaylor =
  (sums: Model): ImportanceMeasure =>
  (model, found) => {
    const total = new Map<number, number>();
    for (const constant of found.constants) {
      const [own, known] = [model, sums].map(({ graph }) => graph.initializers.get(constant.name));
      if (own?.dims.join() !== known?.dims.join()) continue; // a constant that is not trained
      for (const [set, sum] of sumsOf(sums, found, constant, (value) => value)) {
        total.set(set, (total.get(set) ?? 0) + sum);
      }
    }
    return total;
  };

/** Sums over a set's slices of one constant. */
function sumsOf(
  { graph }: Model,
  { flow }: ChannelGroups,
  { name, axis, channels }: ChannelGroups['constants'][number],
  of: (value: number) => number,
): Map<number, number> {
  const tensor = graph.initializers.get(name)!;
  const inner = elementCount(tensor.dims.slice(axis + 1));
  const sets = channels.map((channel) => flow.setOf(channel));
  const sums = new Map<number, number>();
  for (const [i, value] of floatsOf(tensor).entries()) {
    const set = sets[Math.floor(i / inner) % sets.length]!;
    sums.set(set, (sums.get(set) ?? 0) + of(value));
  }
  return sums;
}

function averaged(figures: readonly ReadonlyMap<number, number>[]): Map<number, number> {
  const all = new Map<number, number[]>();
  for (const own of figures) for (const [set, figure] of own) all.set(set, [...(all.get(set) ?? []), figure]);
  return new Map([...all].map(([set, own]) => [set, own.reduce((a, b) => a + b, 0) / own.length]));
}
