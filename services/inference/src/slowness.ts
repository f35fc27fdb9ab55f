/**
 * How many times as long things take as was measured: a smoothed mean and its mean deviation, as TCP foretells when an answer
 * is late (Jacobson 1988, RFC 6298).
 */
export interface Slowness {
  readonly mean: number;
  readonly deviation: number;
  learn(times: number): void;
}

const weight = 0.1;

export function createSlowness(): Slowness {
  let mean = 1;
  let deviation = 0;
  return {
    get mean() {
      return mean;
    },
    get deviation() {
      return deviation;
    },
    learn(times) {
      const error = times - mean;
      mean += weight * error;
      deviation += weight * (Math.abs(error) - deviation);
    },
  };
}
