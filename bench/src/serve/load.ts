import { status } from '@grpc/grpc-js';

export type Call = () => Promise<unknown>;

/** Calls per second with `inFlight` of them always under way: the clock stops at the `count`th answer, the rest is awaited. */
export async function perSecond(call: Call, inFlight: number, count: number): Promise<number> {
  const started = performance.now();
  let answered = 0;
  let elapsedMs = 0;
  const caller = async () => {
    while (answered < count) {
      await call();
      if (++answered === count) elapsedMs = performance.now() - started;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return count / (elapsedMs / 1000);
}

const warmCalls = 20_000;

/**
 * V8 compiles well only what it has seen thousands of times. Servers are measured as they are when they have worked for a
 * while, and so are bare servers that they are compared with.
 */
export const warm = (call: Call): Promise<number> => perSecond(call, 64, warmCalls);

/** Of `count` calls, one after the other: milliseconds of the middle one and of 99 in 100, and calls per second. */
export async function timesOf(call: Call, count: number): Promise<{ p50: number; p99: number; perSecond: number }> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await call();
    times.push(performance.now() - started);
  }
  const all = times.reduce((sum, time) => sum + time, 0);
  times.sort((a, b) => a - b);
  return { p50: times[count >> 1]!, p99: times[Math.floor(count * 0.99)]!, perSecond: count / (all / 1000) };
}

export const medianMs = async (call: Call, count: number): Promise<number> => (await timesOf(call, count)).p50;

/** What became of calls that were made at a rate, whether or not others had been answered. */
export interface Flood {
  /** Calls answered per second while the flood lasted. */
  readonly goodput: number;
  /** Milliseconds until a call was refused, of 99 in 100 refused ones. */
  readonly refusedP99Ms: number;
  readonly answered: number;
  /** Refused with RESOURCE_EXHAUSTED. */
  readonly refused: number;
  /** Not answered within their deadline. */
  readonly late: number;
}

const tickMs = 5;

/** `rate` calls per second for so many seconds, each with the same deadline. Throws what else goes wrong. */
export async function flood(
  call: (deadlineMs: number) => Promise<unknown>,
  { rate, seconds, deadlineMs }: { readonly rate: number; readonly seconds: number; readonly deadlineMs: number },
): Promise<Flood> {
  const calls: Promise<unknown>[] = [];
  const refusedMs: number[] = [];
  let answered = 0;
  let within = 0;
  let late = 0;
  let failure: unknown;
  const one = async () => {
    const asked = performance.now();
    try {
      await call(deadlineMs);
      answered++;
      if (elapsedMs() <= seconds * 1000) within++;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === status.RESOURCE_EXHAUSTED) refusedMs.push(performance.now() - asked);
      else if (code === status.DEADLINE_EXCEEDED) late++;
      else failure ??= error;
    }
  };
  const started = performance.now();
  const elapsedMs = () => performance.now() - started;
  while (elapsedMs() < seconds * 1000) {
    while (calls.length < (elapsedMs() / 1000) * rate) calls.push(one());
    if (failure !== undefined) break;
    await new Promise((resolve) => setTimeout(resolve, tickMs));
  }
  await Promise.all(calls);
  if (failure !== undefined) throw failure;
  refusedMs.sort((a, b) => a - b);
  return {
    goodput: within / seconds,
    refusedP99Ms: refusedMs[Math.floor(refusedMs.length * 0.99)] ?? 0,
    answered,
    refused: refusedMs.length,
    late,
  };
}
