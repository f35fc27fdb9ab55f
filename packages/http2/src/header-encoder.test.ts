import { connect } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

import { createHeaderDecoder } from './header-decoder.js';
import { encodeHeaders } from './header-encoder.js';
import { staticFields } from './header-table.js';
import type { HeaderField } from './header-table.js';

/** What a node:http2 client sees of responses with these header blocks, one after the other on one connection. */
async function seenByNode(blocks: readonly Buffer[]): Promise<string[][]> {
  const server = createServer((socket) => {
    let bytes = Buffer.alloc(0);
    let at = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.length;
    socket.on('error', () => {}); // the client leaves without saying so
    socket.write(Buffer.from('000000040000000000', 'hex'));
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= at + 9 && bytes.length >= at + 9 + bytes.readUIntBE(at, 3)) {
        const stream = bytes.readUInt32BE(at + 5);
        if (bytes[at + 3] === 1) {
          const block = blocks[(stream - 1) / 2]!;
          const head = Buffer.alloc(9);
          head.writeUIntBE(block.length, 0, 3);
          head.set([1, 5], 3);
          head.writeUInt32BE(stream, 5);
          socket.write(Buffer.concat([head, block]));
        }
        at += 9 + bytes.readUIntBE(at, 3);
      }
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const failed = new Promise<never>((_, reject) => session.once('error', reject));
  const seen = async () => {
    const lists: string[][] = [];
    for (let i = 0; i < blocks.length; i++) {
      const stream = session.request({ ':path': '/' }, { endStream: true });
      lists.push(
        await new Promise<string[]>((answered, reject) => {
          stream.on('error', reject);
          stream.on('response', (_headers, _flags, raw?: string[]) => answered(raw ?? []));
        }),
      );
      stream.resume();
    }
    return lists;
  };
  try {
    return await Promise.race([seen(), failed]);
  } finally {
    session.destroy();
    server.close();
  }
}

const status: HeaderField = [':status', '200'];

describe('encodeHeaders', () => {
  const latin1 = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte).filter(isSendable));
  const lists: HeaderField[][] = [
    [status],
    [
      [':status', '418'],
      ['content-type', 'application/grpc+proto'],
      ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ],
    [status, ['grpc-status', '0'], ['grpc-message', '']],
    [status, ['x-latin1', `a${latin1}z`], ['x-again', 'one'], ['x-again', 'two'], ['accept-encoding', 'gzip, deflate']],
    ...[14, 15, 126, 127, 128, 254, 255, 256, 300, 5000].map((length): HeaderField[] => [
      status,
      [`x-${'n'.repeat(length - 2)}`, 'v'.repeat(length)],
      ['www-authenticate', 'w'.repeat(length + 1)],
    ]),
  ];

  it('makes blocks that node:http2 reads field for field', async () => {
    expect(await seenByNode(lists.map(encodeHeaders))).toEqual(lists.map((fields) => fields.flat()));
  });

  it('makes blocks that our decoder reads field for field, each alone', () => {
    for (const fields of lists) expect(createHeaderDecoder().decode(encodeHeaders(fields)).fields).toEqual(fields);
    expect(encodeHeaders([])).toHaveLength(0);
  });

  it('says the fields of the static table in a byte each, and leaves the peer no other to remember', () => {
    const known = staticFields.slice(1);
    const block = encodeHeaders(new Set([...known, ['x-new', 'value'] as const]));
    expect([...block.subarray(0, 61)]).toEqual(known.map((_, i) => 0x80 | (i + 1)));
    const decoder = createHeaderDecoder();
    decoder.decode(block);
    expect(() => decoder.decode(Buffer.from([0x80 | 62]))).toThrow('index 62, wants 1 to 61');
  });

  it('refuses characters that no header can hold', () => {
    expect(() => encodeHeaders([['grpc-message', 'zero → one']])).toThrow(
      "header 'grpc-message' has a character beyond latin1: 'zero → one'",
    );
  });
});

/** RFC 9113 8.2.1, and no control characters, which nghttp2 refuses as well. */
function isSendable(byte: number): boolean {
  return (byte >= 32 && byte !== 127) || byte === 9;
}
