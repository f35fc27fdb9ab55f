export type Call = () => Promise<unknown>;

/** Calls per second with `inFlight` of them always under way, over `count`. */
export async function perSecond(call: Call, inFlight: number, count: number): Promise<number> {
  const started = performance.now();
  let sent = 0;
  const caller = async () => {
    while (sent < count) {
      sent++;
      await call();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return count / ((performance.now() - started) / 1000);
}

/** Median milliseconds of `count` calls, one after the other. */
export async function medianMs(call: Call, count: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await call();
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return times[count >> 1]!;
}
