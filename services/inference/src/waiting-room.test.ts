import { status } from '@grpc/grpc-js';
import { inference } from '@modelmill/contracts';
import { createWaitingRoom } from './waiting-room.js';

const limits = { maxBatch: 1, maxQueue: 2, maxQueueBytes: 100, maxWaitMs: 60_000, runners: 1 };
const request = (bytes = 0) => inference.ModelInferRequest.fromPartial({ rawInputContents: [Buffer.alloc(bytes)] });
const never = () => new Promise<void>(() => {});
const roomOf = (more: Partial<typeof limits> = {}) => createWaitingRoom('digits', '3', { ...limits, ...more });

describe('requests that wait until their version is loaded', () => {
  it('go on when it is, and hear of it when it cannot be', async () => {
    const room = roomOf();
    await room.wait(request(), {}, performance.now(), () => Promise.resolve());
    const broken = room.wait(request(), {}, performance.now(), () => Promise.reject(new Error('a flipped bit')));
    expect(room.waiting()).toBe(1);
    await expect(broken).rejects.toThrow('a flipped bit');
    expect(room.waiting()).toBe(0);
  });

  it.each([
    [
      'until their deadline',
      { deadline: Date.now() + 20 },
      {},
      status.DEADLINE_EXCEEDED,
      "the deadline passed while model 'digits' version 3 was being loaded",
    ],
    [
      'no longer than any request may',
      {},
      { maxWaitMs: 20 },
      status.UNAVAILABLE,
      "model 'digits' version 3 is still being loaded",
    ],
    [
      'until their caller goes',
      { signal: AbortSignal.timeout(20) },
      {},
      status.CANCELLED,
      'the caller went away before the model ran',
    ],
  ])('wait %s', async (_, caller, more, code, message) => {
    const room = roomOf(more);
    await expect(room.wait(request(), caller, performance.now(), never)).rejects.toMatchObject({ code, message });
    expect(room.waiting()).toBe(0);
  });

  it('are no more than may wait, in number and in bytes', async () => {
    const code = status.RESOURCE_EXHAUSTED;
    const room = roomOf();
    const first = new AbortController();
    const waiting = room.wait(request(60), { signal: first.signal }, performance.now(), never);
    await expect(room.wait(request(60), {}, performance.now(), never)).rejects.toMatchObject({ code });
    const second = new AbortController();
    const gone = room.wait(request(), { signal: second.signal }, performance.now(), never);
    await expect(room.wait(request(), {}, performance.now(), never)).rejects.toMatchObject({ code });
    second.abort();
    await expect(gone).rejects.toMatchObject({ code: status.CANCELLED });
    first.abort();
    await expect(waiting).rejects.toMatchObject({ code: status.CANCELLED });
    expect(room.waiting()).toBe(0);
  });
});
