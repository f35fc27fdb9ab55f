import type { LossTerm } from '@modelmill/autodiff';
import * as errors from './errors.js';
import type { PlannedLoss, TrainingPlan } from './training-plan.js';

/** What a loss has to fit. */
export interface Target {
  /** The classes in label order; empty where the target is a number or a token. */
  readonly classNames: readonly string[];
  /** Classes, or tokens of the vocabulary; 0 where the target is a number. */
  readonly classes: number;
  readonly isText: boolean;
}

/** The terms of a plan's loss, or the one that fits the target. Throws an RpcError that says what fits. */
export function fittingLoss(plan: TrainingPlan, target: Target): readonly LossTerm[] {
  const { losses, distillation, dataset } = plan;
  const { classes, isText } = target;
  if (distillation && (classes === 0 || isText)) throw errors.distillationOfNumbers(dataset);
  if (losses === undefined) return [{ kind: classes > 0 ? 'cross_entropy' : 'mse' }];
  const fitting = fittingKinds(target);
  for (const { kind } of losses) {
    if (!fitting.includes(kind)) {
      throw errors.wrongLoss(
        kind,
        `the target of dataset '${dataset}' is ${inWords(target)}, wants ${fitting.join(' or ')}`,
      );
    }
  }
  return losses.map((term) => withWeights(term, target));
}

/** Whether the network has one output for two classes. */
export const isBinary = (loss: readonly LossTerm[]): boolean => loss[0]?.kind === 'binary_cross_entropy';

function fittingKinds({ classes, isText }: Target): readonly string[] {
  if (classes === 0) return ['mse', 'mae', 'huber'];
  return classes === 2 && !isText ? ['cross_entropy', 'binary_cross_entropy'] : ['cross_entropy'];
}

const inWords = ({ classes, isText }: Target) => {
  if (isText) return `one of ${classes} tokens`;
  return classes > 0 ? `one of ${classes} classes` : 'a number';
};

function withWeights(term: PlannedLoss, { classNames }: Target): LossTerm {
  if (term.kind !== 'cross_entropy') return term;
  const { classWeights, ...rest } = term;
  if (classWeights === undefined) return rest;
  const unknown = Object.keys(classWeights).find((name) => !classNames.includes(name));
  if (unknown !== undefined) throw errors.unknownClass(unknown, classNames);
  return { ...rest, classWeights: classNames.map((name) => classWeights[name] ?? 1) };
}

/** Numbers a model gives for that loss: one per class, one in all for two classes in binary form, or the number asked for. */
export const outputsOf = (loss: readonly LossTerm[], classes: number): number => (isBinary(loss) ? 1 : classes || 1);
