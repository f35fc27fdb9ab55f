import { MessageGatherer, framedMessage } from './grpc-message.js';

const sizes = [0, 1, 1000, 65_535, 65_536, 300_000];
const pieces = [1, 2, 4, 5, 6, 4096, 70_000];

describe('a message', () => {
  it.each(sizes)('of %d bytes is whole when it has come, in whatever pieces', (size) => {
    const message = Buffer.alloc(size, 'message ');
    const bytes = Buffer.concat(framedMessage(message));
    for (const piece of pieces) {
      const gatherer = new MessageGatherer();
      let early = false;
      for (let at = 0; at < bytes.length; at += piece) {
        early ||= gatherer.isWhole();
        gatherer.add(bytes.subarray(at, at + piece));
      }
      const { length } = gatherer;
      expect([early, gatherer.isWhole(), gatherer.isBeyond(), length]).toEqual([false, true, false, size]);
      expect(gatherer.take().equals(message)).toBe(true);
    }
  });

  it('is not whole with a byte after it', () => {
    const gatherer = new MessageGatherer();
    gatherer.add(Buffer.concat(framedMessage(Buffer.from('x'))));
    gatherer.add(Buffer.from('y'));
    expect([gatherer.isWhole(), gatherer.isBeyond()]).toEqual([false, true]);
  });

  it('of which only the length has come takes no memory', () => {
    const before = process.memoryUsage().arrayBuffers;
    const gatherers = Array.from({ length: 100 }, () => {
      const gatherer = new MessageGatherer();
      gatherer.add(Buffer.of(0, 0, 16, 0, 0));
      gatherer.add(Buffer.alloc(10));
      return gatherer;
    });
    expect(gatherers[0]!.length).toBe(2 ** 20);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 2 ** 20);
  });
});
