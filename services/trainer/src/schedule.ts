export const schedules = {
  /** The same rate at every step. */
  constant: () => 1,
  /** Half a cosine from the full rate down to 1 % of it at the last step (Loshchilov and Hutter 2017, no restarts). */
  cosine: (step: number, steps: number) =>
    0.01 + 0.99 * 0.5 * (1 + Math.cos((Math.PI * step) / Math.max(1, steps - 1))),
} as const;

export type Schedule = keyof typeof schedules;

/** The learning rate at `step` (from 0) of `steps`. */
export function learningRateAt(schedule: Schedule, base: number, step: number, steps: number): number {
  return base * schedules[schedule](step, steps);
}
