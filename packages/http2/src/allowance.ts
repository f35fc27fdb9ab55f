export interface Allowance {
  /** Whether one more may be had now. */
  take(): boolean;
}

/** `burst` at once, and `perSecond` more each second. */
export function createAllowance(burst: number, perSecond: number): Allowance {
  let left = burst;
  let at = performance.now();
  return {
    take() {
      if (left < 1) {
        const now = performance.now();
        left = Math.min(left + ((now - at) / 1000) * perSecond, burst);
        at = now;
        if (left < 1) return false;
      }
      left--;
      return true;
    },
  };
}
