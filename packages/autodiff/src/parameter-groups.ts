import { globPattern } from '@modelmill/onnx';
import type { ParameterGroup } from './step-options.js';

type Groups = readonly ParameterGroup[];

/** The first group that names a weight. */
export const groupOf = (name: string, groups: Groups = []): ParameterGroup | undefined =>
  groups.find(({ weights }) => weights.some((glob) => globPattern(glob).test(name)));

/** Whether a group's learning rate is 0. */
export const isFrozen = (name: string, groups?: Groups): boolean => groupOf(name, groups)?.learningRateScale === 0;

/** What is wrong with groups of these weights, in words: a glob that names none, or nothing left to train. */
export function groupFault(weights: readonly string[], groups: Groups = []): string | undefined {
  for (const [i, group] of groups.entries()) {
    for (const [j, glob] of group.weights.entries()) {
      const pattern = globPattern(glob);
      if (weights.some((name) => pattern.test(name))) continue;
      const some = weights.slice(0, 5).join(', ') + (weights.length > 5 ? ', …' : '');
      return `groups[${i}].weights[${j}] is '${glob}', which names no weight: there are ${some || 'none'}`;
    }
  }
  const frozen = weights.length > 0 && weights.every((name) => isFrozen(name, groups));
  return frozen ? 'groups give every weight a learning_rate_scale of 0, wants one that is trained' : undefined;
}
