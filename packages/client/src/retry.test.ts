import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';
import { backoffMs, isRetryable } from './retry.js';

const failed = (code: status) => new MillError(code, 'failed');

describe('a failed call', () => {
  it('is repeated when the server was unavailable and the call is safe', () =>
    expect(isRetryable(failed(status.UNAVAILABLE), { attempt: 1, safe: true })).toBe(true));

  it('is not repeated when it could do its work twice', () =>
    expect(isRetryable(failed(status.UNAVAILABLE), { attempt: 1, safe: false })).toBe(false));

  it.each(['DEADLINE_EXCEEDED', 'INTERNAL', 'ABORTED', 'RESOURCE_EXHAUSTED', 'INVALID_ARGUMENT'] as const)(
    'is not repeated after %s',
    (code) => expect(isRetryable(failed(status[code]), { attempt: 1, safe: true })).toBe(false),
  );

  it('is given up after six attempts', () =>
    expect([5, 6].map((attempt) => isRetryable(failed(status.UNAVAILABLE), { attempt, safe: true }))).toEqual([
      true,
      false,
    ]));

  it('is no reason to repeat when it is a bug of ours', () =>
    expect(isRetryable(new TypeError('bug'), { attempt: 1, safe: true })).toBe(false));
});

describe('the backoff', () => {
  it('doubles up to two seconds', () =>
    expect([1, 2, 3, 4, 5, 6, 7].map((attempt) => backoffMs(attempt, 1))).toEqual([
      100, 200, 400, 800, 1600, 2000, 2000,
    ]));

  it('is spread over its upper half', () =>
    expect([0, 0.5, 1].map((random) => backoffMs(3, random))).toEqual([200, 300, 400]));
});
