import { isBetterLarge } from '@modelmill/data';
import type { ChosenRecipe } from './choose-recipe.js';
import { afterEvaluation, plateauStart } from './schedule.js';
import type { PlateauState } from './schedule.js';
import type { TrainingPlan } from './training-plan.js';

/** One line of a job's history: figures by name, with the step they were taken at. */
export type HistoryLine = Readonly<Record<string, number>>;

/** Where a training stands, besides its tensors. Plain data: it lies in checkpoints. */
export interface Standing {
  /** Steps done. The data cursor and the random numbers follow from it and the seed. */
  readonly step: number;
  /** Sum of the losses since the last evaluation. */
  readonly lossSum: number;
  readonly history: readonly HistoryLine[];
  readonly plateau: PlateauState;
  /** The best evaluation so far, smaller being better; null before the first. */
  readonly best: { readonly figure: number; readonly step: number } | null;
  /** Evaluations since the best one. */
  readonly waited: number;
  /** Halved whenever the training was rolled back. */
  readonly rateScale: number;
  readonly rollBacks: number;
  /** Whether it stops here, before its last step. */
  readonly stopped: boolean;
  readonly notes: readonly string[];
  /** What `auto` decided; null where nothing was left to it. */
  readonly chosen: ChosenRecipe | null;
}

export const standingAtStart: Standing = {
  step: 0,
  lossSum: 0,
  history: [],
  plateau: plateauStart,
  best: null,
  waited: 0,
  rateScale: 1,
  rollBacks: 0,
  stopped: false,
  notes: [],
  chosen: null,
};

/** After one more evaluation: whether it is the best, and whether it was the last. */
export function evaluated(standing: Standing, plan: TrainingPlan, figures: Readonly<Record<string, number>>): Standing {
  const { monitored, earlyStopping, schedule } = plan;
  const { best, waited, step, notes } = standing;
  const value = figures[monitored] ?? Number.NaN;
  const figure = isBetterLarge(monitored) ? -value : value;
  const plateau = schedule.kind === 'plateau' ? afterEvaluation(standing.plateau, schedule, figure) : standing.plateau;
  const isBetter = best === null ? !Number.isNaN(figure) : figure < best.figure - (earlyStopping?.minDelta ?? 0);
  if (isBetter) return { ...standing, plateau, best: { figure, step }, waited: 0 };
  if (earlyStopping === undefined || waited + 1 < earlyStopping.patience) {
    return { ...standing, plateau, waited: waited + 1 };
  }
  const since = best ? `was best at step ${best.step}, ${waited + 1} evaluations ago` : 'was never a number';
  const note = `stopped early at step ${step}: ${monitored} ${since}`;
  return { ...standing, plateau, waited: waited + 1, stopped: true, notes: [...notes, note] };
}

export const mostRollBacks = 5;

/** Back to a standing from before something was no number at a step, at half the rate. */
export function rolledBack(good: Standing, { rateScale, rollBacks, notes }: Standing, step: number): Standing {
  const note = `rolled back from step ${step} to step ${good.step}, where the loss was a number; the rate is halved`;
  return { ...good, rateScale: rateScale / 2, rollBacks: rollBacks + 1, notes: [...notes, note] };
}
