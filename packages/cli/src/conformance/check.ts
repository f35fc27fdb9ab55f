import { MillError } from '@modelmill/client';
import { FailedCheck } from './failed-check.js';
import type { Answer, Server } from './server.js';

/** One demand of the Open Inference Protocol. */
export interface Check {
  readonly door: 'gRPC' | 'REST';
  readonly area: string;
  /** What a server does that passes. */
  readonly promise: string;
  /** Throws what was seen instead; SkippedCheck where this server's models do not let it be tried. */
  run(server: Server): Promise<void>;
}

export class SkippedCheck extends Error {
  override readonly name = 'SkippedCheck';
}

export function expectThat(holds: boolean, seen: unknown): asserts holds {
  if (!holds) throw new FailedCheck(typeof seen === 'string' ? seen : show(seen));
}

export function expectEqual(got: unknown, want: unknown, what = ''): void {
  const [seen, wanted] = [show(got), show(want)];
  if (seen !== wanted) throw new FailedCheck(`${what}${what && ' is '}${seen}, wanted ${wanted}`);
}

/** A call that is refused with one of these gRPC statuses, in words that match. */
export async function refusedCall(call: Promise<unknown>, codes: readonly string[], words = /./): Promise<void> {
  const answer = await call.catch((error: unknown) => error);
  if (!(answer instanceof MillError)) throw new FailedCheck(`accepted, wanted ${codes.join(' or ')}`);
  const { codeName, message } = answer;
  expectThat(codes.includes(codeName), `${codeName} '${message}', wanted ${codes.join(' or ')}`);
  expectThat(words.test(message), `'${message}', wanted ${words}`);
}

/** An answer that is `{"error": …}` with one of these codes, in words that match. */
export function refusedAnswer({ status, json }: Answer, codes: readonly number[], words = /./): void {
  const { error } = (json ?? {}) as { error?: unknown };
  expectThat(codes.includes(status), `${status} ${show(error)}, wanted ${codes.join(' or ')}`);
  expectThat(typeof error === 'string' && words.test(error), `error ${show(error)}, wanted ${words}`);
}

export function show(value: unknown): string {
  const text = JSON.stringify(value, (_, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    return member instanceof Uint8Array ? Buffer.from(member).toString('hex') : member;
  });
  return text === undefined ? 'nothing' : text.slice(0, 400);
}
