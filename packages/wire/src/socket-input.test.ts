import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { onInput } from './socket-input.js';

const mib = 2 ** 20;
const sent = Buffer.from(Array.from({ length: mib }, (_, i) => (i * 7919) % 251));

/** What the two ends of a connection read of each other, whose reading begins as a door's does and as a caller's does. */
async function exchanged(): Promise<{ heard: Buffer[]; memories: Set<ArrayBufferLike>[] }> {
  const heard: Buffer[][] = [[], []];
  const memories = [new Set<ArrayBufferLike>(), new Set<ArrayBufferLike>()];
  const begin = (socket: Socket, end: 0 | 1) => {
    onInput(socket, (bytes) => {
      heard[end]!.push(Buffer.from(bytes));
      memories[end]!.add(bytes.buffer);
    });
    socket.end(sent);
    return once(socket, 'close');
  };
  const ends: Promise<unknown>[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => void ends.push(begin(socket, 0)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  ends.push(begin(connect({ port, host: '127.0.0.1', allowHalfOpen: true }), 1));
  await once(server, 'connection');
  await Promise.all(ends);
  server.close();
  return { heard: heard.map((pieces) => Buffer.concat(pieces)), memories };
}

describe('what a socket reads', () => {
  it('comes whole, and in the same memory each time, at both ends', async () => {
    const { heard, memories } = await exchanged();
    expect(heard.map((bytes) => bytes.equals(sent))).toEqual([true, true]);
    expect(memories.map(({ size }) => size)).toEqual([1, 1]);
  });

  it('comes as a stream tells it where it is no socket', async () => {
    const [here, there] = duplexPair();
    const heard: Buffer[] = [];
    onInput(here, (bytes) => heard.push(Buffer.from(bytes)));
    there.end(sent);
    await once(here, 'end');
    expect(Buffer.concat(heard).equals(sent)).toBe(true);
  });
});
