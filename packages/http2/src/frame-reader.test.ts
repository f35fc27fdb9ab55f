import { frame } from './frame-for-tests.js';
import { createFrameReader } from './frame-reader.js';
import { flag, frameType } from './protocol.js';

/** What is told of bytes that come in pieces of `size`; DATA of a frame together. */
function told(bytes: Buffer, size: number): unknown[] {
  const seen: [number, string, boolean][] = [];
  const frames: unknown[] = [];
  const read = createFrameReader(
    {
      onData(stream, piece, _flowBytes, end) {
        const last = seen.at(-1);
        if (last && last[0] === stream && !last[2]) {
          last[1] += piece.toString('latin1');
          last[2] = end;
        } else seen.push([stream, piece.toString('latin1'), end]);
      },
      onFrame: (...got) => void frames.push([...got.slice(0, 3), (got[3] as Buffer).toString('latin1')]),
    },
    2 ** 20,
  );
  for (let at = 0; at < bytes.length; at += size) read(bytes.subarray(at, at + size));
  return [...seen, ...frames];
}

describe('frames', () => {
  const bytes = Buffer.concat([
    frame(frameType.settings, 0, 0, Buffer.alloc(12, 1)),
    frame(frameType.headers, flag.endHeaders, 1, Buffer.from('block')),
    frame(frameType.data, 0, 1, Buffer.from('first and ')),
    frame(frameType.data, flag.padded, 1, Buffer.from('\x03second\0\0\0', 'latin1')),
    frame(frameType.data, flag.endStream, 1, Buffer.alloc(0)),
    frame(frameType.data, flag.endStream, 3, Buffer.alloc(70_000, 'x')),
    frame(99, 0, 3, Buffer.from('not known')),
  ]);

  it.each([1, 2, 7, 9, 10, 100, 65_536, Infinity])('are the same in pieces of %d bytes', (size) => {
    expect(told(bytes, Math.min(size, bytes.length))).toEqual([
      [1, 'first and second', true],
      [3, 'x'.repeat(70_000), true],
      [frameType.settings, 0, 0, '\x01'.repeat(12)],
      [frameType.headers, flag.endHeaders, 1, 'block'],
      [99, 0, 3, 'not known'],
    ]);
  });

  it.each([
    ['a frame larger than is taken', frame(frameType.headers, 0, 1, Buffer.alloc(2 ** 17 + 1)), 6],
    ['DATA larger than is taken', frame(frameType.data, 0, 1, Buffer.alloc(2 ** 20 + 1)), 6],
    ['padding larger than its frame', frame(frameType.data, flag.padded, 1, Buffer.from([3, 0, 0])), 1],
    ['padding without its length', frame(frameType.data, flag.padded, 1, Buffer.alloc(0)), 1],
  ])('end with %s', (_, wrong, code) => {
    expect(() => told(wrong, 1000)).toThrow(expect.objectContaining({ code }));
  });

  it('that come byte by byte take time in proportion to their length', () => {
    const padded = frame(frameType.data, flag.padded, 1, Buffer.concat([Buffer.of(0), Buffer.alloc(16_000)]));
    const many = Buffer.concat(Array<Buffer>(30).fill(padded));
    const began = performance.now();
    told(many, 1);
    expect(performance.now() - began).toBeLessThan(10_000); // copied for each byte it would be four billion bytes
  });
});
