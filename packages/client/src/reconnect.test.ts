import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';
import { reconnecting } from './reconnect.js';

const gone = new MillError(status.UNAVAILABLE, 'going away');

describe('a stream that reconnects', () => {
  let now = 1e12;
  beforeEach(() => void jest.spyOn(Date, 'now').mockImplementation(() => now));
  afterEach(() => void jest.restoreAllMocks());

  /** Streams that last so many seconds and then break; the one after them says `back`. */
  function lasting(...seconds: number[]) {
    let opened = 0;
    return async function* (): AsyncGenerator<string, void, undefined> {
      const lasts = seconds[opened++];
      if (lasts === undefined) {
        yield 'back';
        return;
      }
      now += lasts * 1000;
      throw gone;
    };
  }

  it.each([
    ['was quiet for an hour', [3600]],
    ['breaks again and again, quiet each time', [40, 40, 40]],
    ['cannot be opened for a while', [20, 20]],
  ])('goes on where it %s', async (_, seconds) => {
    const seen: string[] = [];
    for await (const message of reconnecting(lasting(...seconds), (last) => last === 'back', undefined)) {
      seen.push(message);
    }
    expect(seen).toEqual(['back']);
  });

  it('tells its reader when the server has been away for a minute', async () => {
    await expect(reconnecting(lasting(20, 20, 20, 21), () => false, undefined).next()).rejects.toBe(gone);
  });
});
