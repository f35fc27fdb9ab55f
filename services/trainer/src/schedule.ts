export const schedules = [
  'constant',
  'step',
  'linear',
  'cosine',
  'cosine_restarts',
  'polynomial',
  'one_cycle',
  'plateau',
] as const;
export type ScheduleKind = (typeof schedules)[number];

/** How the learning rate goes on over time. Plain data: it travels to a child process. */
export interface Schedule {
  readonly kind: ScheduleKind;
  /** Steps in which the rate rises in a straight line; for `one_cycle` those up to the peak, 0: 30 % of all. */
  readonly warmupSteps: number;
  /** Share of the rate at the end; for `plateau` the least. */
  readonly finalShare: number;
  /** `step`: epochs between two reductions; `cosine_restarts`: epochs of the first cycle. */
  readonly everyEpochs: number;
  /** Factor of `step` and `plateau`. */
  readonly gamma: number;
  /** Exponent of `polynomial`. */
  readonly power: number;
  /** Of `cosine_restarts`: each cycle is this many times as long as the one before. */
  readonly cycleFactor: number;
  /** Of `plateau`: evaluations without a better one before the rate falls. */
  readonly patience: number;
}

export interface Moment {
  /** From 0. */
  readonly step: number;
  readonly steps: number;
  readonly stepsPerEpoch: number;
}

interface Course extends Moment {
  readonly schedule: Schedule;
  /** From 0 at the end of the warm-up to 1 at the last step. */
  readonly share: number;
}

const halfCosine = (from: number, to: number, share: number) =>
  to + (from - to) * 0.5 * (1 + Math.cos(Math.PI * share));

/** A factor on the rate, past the warm-up. What the names mean is PyTorch's; the last step has the final share. */
const courses: { readonly [K in Exclude<ScheduleKind, 'plateau'>]: (course: Course) => number } = {
  constant: () => 1,
  step: ({ step, stepsPerEpoch, schedule: { gamma, everyEpochs } }) =>
    gamma ** Math.floor(step / stepsPerEpoch / everyEpochs),
  linear: ({ share, schedule: { finalShare } }) => 1 + (finalShare - 1) * share,
  cosine: ({ share, schedule: { finalShare } }) => halfCosine(1, finalShare, share),
  cosine_restarts({ step, stepsPerEpoch, schedule: { warmupSteps, everyEpochs, cycleFactor, finalShare } }) {
    let length = everyEpochs * stepsPerEpoch;
    let into = step - warmupSteps;
    if (cycleFactor === 1) into %= length;
    while (into >= length) {
      into -= length;
      length *= cycleFactor;
    }
    return halfCosine(1, finalShare, into / length);
  },
  polynomial: ({ share, schedule: { finalShare, power } }) => finalShare + (1 - finalShare) * (1 - share) ** power,
  one_cycle({ step, steps, schedule: { warmupSteps, finalShare } }) {
    const peak = (warmupSteps || 0.3 * steps) - 1;
    if (step <= peak) return halfCosine(1 / 25, 1, step / Math.max(1e-9, peak));
    return halfCosine(1, finalShare, (step - peak) / Math.max(1, steps - 1 - peak));
  },
};

/** The factor on the learning rate at a step. `plateau` follows measurements: its factor is `createPlateau`'s. */
export function rateFactor(schedule: Schedule, moment: Moment, plateau = 1): number {
  const { step, steps } = moment;
  const { kind, warmupSteps } = schedule;
  if (kind !== 'one_cycle' && step < warmupSteps) return (step + 1) / (warmupSteps + 1);
  if (kind === 'plateau') return plateau;
  const share = Math.min(1, (step - warmupSteps) / Math.max(1, steps - 1 - warmupSteps));
  return courses[kind]({ ...moment, schedule, share });
}

/** Where a plateau stands. Plain data: it lies in checkpoints. */
export interface PlateauState {
  readonly factor: number;
  /** The best figure so far, smaller being better; null before the first. */
  readonly best: number | null;
  /** Evaluations since. */
  readonly waited: number;
}

export const plateauStart: PlateauState = { factor: 1, best: null, waited: 0 };

/** After one more evaluation: a figure has to be better by a ten-thousandth of the best. */
export function afterEvaluation(
  state: PlateauState,
  { gamma, patience, finalShare }: Schedule,
  figure: number,
): PlateauState {
  const { factor, best, waited } = state;
  const isBetter = best === null ? !Number.isNaN(figure) : figure < best - 1e-4 * Math.abs(best);
  if (isBetter) return { factor, best: figure, waited: 0 };
  if (waited < patience) return { factor, best, waited: waited + 1 };
  return { factor: Math.max(factor * gamma, finalShare), best, waited: 0 };
}
