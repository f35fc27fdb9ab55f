import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEvaluation, plateauStart, rateFactor } from './schedule.js';
import type { Schedule, ScheduleKind } from './schedule.js';

/** Made by bench/peers/make_schedule_vectors.py. */
const vectors = JSON.parse(readFileSync(fileURLToPath(new URL('schedule-vectors.json', import.meta.url)), 'utf8')) as {
  readonly torch: string;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly figures: readonly number[];
  readonly cases: readonly {
    readonly kind: ScheduleKind;
    readonly settings: Partial<Schedule>;
    readonly rates: readonly number[];
  }[];
};

const { steps, stepsPerEpoch } = vectors;
const plain: Omit<Schedule, 'kind'> = {
  warmupSteps: 0,
  finalShare: 0,
  everyEpochs: 10,
  gamma: 0.1,
  power: 2,
  cycleFactor: 1,
  patience: 5,
};

/** The factor at every step, evaluations in between. */
function factorsOf(schedule: Schedule): number[] {
  let plateau = plateauStart;
  return Array.from({ length: steps }, (_, step) => {
    if (step > 0 && step % stepsPerEpoch === 0) {
      plateau = afterEvaluation(plateau, schedule, vectors.figures[step / stepsPerEpoch - 1]!);
    }
    return rateFactor(schedule, { step, steps, stepsPerEpoch }, plateau.factor);
  });
}

describe('a schedule', () => {
  it.each(vectors.cases)(`$kind is PyTorch ${vectors.torch}'s at every step`, ({ kind, settings, rates }) => {
    const factors = factorsOf({ ...plain, ...settings, kind });
    const off = rates.map((rate, step) => ({ step, rate, factor: factors[step]! }));
    expect(off.filter(({ rate, factor }) => !(Math.abs(rate - factor) < 1e-6))).toEqual([]);
    expect(off).toHaveLength(steps);
  });

  it('rises in a straight line while it warms up, and then goes its way over the steps that are left', () => {
    const factors = factorsOf({ ...plain, kind: 'cosine', warmupSteps: 9, finalShare: 0.1 });
    expect(factors.slice(0, 3)).toEqual([0.1, 0.2, expect.closeTo(0.3, 12)]);
    expect(factors[9]).toBe(1);
    expect(factors[59]).toBeCloseTo(0.1, 12);
    expect(factors[34]).toBeCloseTo(0.55, 12);
  });

  it('that waits for a plateau takes a figure that is no number for no better one', () => {
    const schedule: Schedule = { ...plain, kind: 'plateau', patience: 1 };
    const seen = [Number.NaN, 0.5, Number.NaN, 0.6].reduce(
      (state, figure) => afterEvaluation(state, schedule, figure),
      plateauStart,
    );
    expect(seen).toEqual({ factor: 0.1, best: 0.5, waited: 0 });
  });

  it('of one step has its full rate', () => {
    for (const kind of ['cosine', 'linear', 'polynomial'] as const) {
      expect(rateFactor({ ...plain, kind }, { step: 0, steps: 1, stepsPerEpoch: 1 })).toBe(1);
    }
  });
});
