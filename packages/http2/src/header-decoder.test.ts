import { connect } from 'node:http2';
import type { OutgoingHttpHeaders } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

import { HeaderBlockError, createHeaderDecoder } from './header-decoder.js';
import type { HeaderDecoder } from './header-decoder.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const fieldsOf = (decoder: HeaderDecoder, block: string) => decoder.decode(hex(block)).fields;

describe('RFC 7541, appendix C', () => {
  it.each([
    ['C.2.1', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key', 'custom-header']],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path']],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret']],
    ['C.2.4', '82', [':method', 'GET']],
  ])('reads the field of %s', (_, block, field) => {
    expect(fieldsOf(createHeaderDecoder(), block)).toEqual([field]);
  });

  const get = [':method', 'GET'];
  const authority = [':authority', 'www.example.com'];
  const requests = [
    [get, [':scheme', 'http'], [':path', '/'], authority],
    [get, [':scheme', 'http'], [':path', '/'], authority, ['cache-control', 'no-cache']],
    [get, [':scheme', 'https'], [':path', '/index.html'], authority, ['custom-key', 'custom-value']],
  ];
  const requestTable = [['custom-key', 'custom-value'], ['cache-control', 'no-cache'], authority];
  const isPrivate = ['cache-control', 'private'];
  const location = ['location', 'https://www.example.com'];
  const cookie = ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'];
  const date = (second: number) => ['date', `Mon, 21 Oct 2013 20:13:${second} GMT`];
  const responses = [
    [[':status', '302'], isPrivate, date(21), location],
    [[':status', '307'], isPrivate, date(21), location],
    [[':status', '200'], isPrivate, date(22), location, ['content-encoding', 'gzip'], cookie],
  ];
  const responseTable = [cookie, ['content-encoding', 'gzip'], date(22)];

  it.each([
    [
      'C.3, requests without Huffman coding',
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
      { tableBytes: 4096, lists: requests, table: requestTable },
    ],
    [
      'C.4, requests with Huffman coding',
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
      { tableBytes: 4096, lists: requests, table: requestTable },
    ],
    [
      'C.5, responses without Huffman coding, with eviction',
      [
        '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120' +
          '474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '4803 3330 37c1 c0bf',
        '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738' +
          '666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33' +
          '3630 303b 2076 6572 7369 6f6e 3d31',
      ],
      { tableBytes: 256, lists: responses, table: responseTable },
    ],
    [
      'C.6, responses with Huffman coding, with eviction',
      [
        '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718' +
          '63c7 8f0b 97c8 e9ae 82ae 43d3',
        '4883 640e ffc1 c0bf',
        '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7' +
          'b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
      ],
      { tableBytes: 256, lists: responses, table: responseTable },
    ],
  ])('reads the blocks of %s', (_, blocks, { tableBytes, lists, table }) => {
    const decoder = createHeaderDecoder({ tableBytes });
    expect(blocks.map((block) => fieldsOf(decoder, block))).toEqual(lists);
    expect(fieldsOf(decoder, 'be bf c0')).toEqual(table);
    expect(() => fieldsOf(decoder, 'c1')).toThrow('index 65, wants 1 to 64');
  });
});

it('gives a field of a table as the same frozen object each time', () => {
  const decoder = createHeaderDecoder();
  const first = fieldsOf(decoder, '82 4001 6101 62');
  const again = fieldsOf(decoder, '82 be');
  expect(again).toEqual([
    [':method', 'GET'],
    ['a', 'b'],
  ]);
  again.forEach((field, i) => {
    expect(field).toBe(first[i]);
    expect(Object.isFrozen(field)).toBe(true);
  });
});

/** The header blocks that a node:http2 client sends for requests with the given headers. */
async function blocksOf(requests: readonly OutgoingHttpHeaders[]): Promise<Buffer[]> {
  const blocks: Buffer[] = [];
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const captured = new Promise<void>((resolve, reject) => {
    session.on('error', reject);
    server.on('connection', (socket) => {
      let bytes = Buffer.alloc(0);
      let at = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.length;
      socket.on('error', reject);
      socket.write(hex('000000 04 00 00000000'));
      socket.on('data', (chunk) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= at + 9 && bytes.length >= at + 9 + bytes.readUIntBE(at, 3)) {
          const [end, type, flags] = [at + 9 + bytes.readUIntBE(at, 3), bytes[at + 3]!, bytes[at + 4]!];
          const payload = bytes.subarray(at + 9 + (flags & 32 ? 5 : 0), end);
          if (type === 1) blocks.push(payload);
          if (type === 9) blocks.push(Buffer.concat([blocks.pop()!, payload]));
          if ((type === 1 || type === 9) && flags & 4 && blocks.length === requests.length) resolve();
          at = end;
        }
      });
    });
  });
  try {
    await new Promise((settled) => session.once('remoteSettings', settled));
    // each is left open, and ends with the session
    for (const headers of requests) session.request(headers, { endStream: true }).on('error', () => {});
    await captured;
  } finally {
    session.destroy();
    server.close();
  }
  return blocks;
}

/** As node:http2 sends them: those of HTTP/2 first. */
const pairs = (headers: OutgoingHttpHeaders) =>
  Object.entries(headers)
    .flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)] as const))
    .sort(([one], [other]) => Number(other.startsWith(':')) - Number(one.startsWith(':')));

describe('blocks of node:http2', () => {
  const base = { ':method': 'POST', ':scheme': 'http', ':authority': 'localhost:50051', te: 'trailers' };

  it('are read field for field as long as the connection lasts, whatever they evict', async () => {
    const requests = Array.from({ length: 90 }, (_, i) => ({
      ...base,
      ':path': `/modelmill.v1.InferenceService/Infer${i % 7}`,
      'content-type': 'application/grpc',
      'grpc-timeout': `${9000 + i}m`,
      [`x-${'name'.repeat(i % 40)}`]: 'v'.repeat((i * 53) % 900),
      'x-binary-latin1': String.fromCharCode(
        ...Array.from({ length: 60 }, (_, j) => 32 + ((i * 31 + j * 7) % 95) + (i % 2) * 128),
      ),
      'x-repeated': ['one', 'two', `${i % 3}`],
      'x-empty': '',
      ...(i % 30 === 29 ? { 'x-longer-than-a-frame': 'é~'.repeat(12_000) } : {}),
    }));
    const decoder = createHeaderDecoder({ listBytes: 2 ** 20 });
    const blocks = await blocksOf(requests);
    const lists = blocks.map((block) => decoder.decode(block));
    expect(lists).toEqual(requests.map((headers) => ({ fields: pairs(headers), tooLarge: false })));
  });

  it('are read where a header is never to be indexed', async () => {
    const { sensitiveHeaders } = await import('node:http2');
    const headers = { ...base, ':path': '/', authorization: 'Bearer of a secret', 'x-secret': 'another' };
    const sent = { ...headers, [sensitiveHeaders]: ['authorization', 'x-secret'] };
    const [first, second] = await blocksOf([sent, sent]);
    const decoder = createHeaderDecoder();
    expect(decoder.decode(first!).fields).toEqual(pairs(headers));
    expect(decoder.decode(second!).fields).toEqual(pairs(headers));
    expect(second!.length).toBeGreaterThan('Bearer of a secret'.length * 0.6);
  });

  it('are read for every byte in Huffman coding', async () => {
    // node's own separator, which an HTTP/2 client cannot send, and the ends of lines, which it refuses to
    const unsent = new Map([
      [0, '1ff8 13'],
      [10, '3ffffffc 30'],
      [13, '3ffffffd 30'],
    ]);
    const sent = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !unsent.has(byte));
    // so many short codes around it that the coding is the shorter form
    const value = (byte: number) => `${'0'.repeat(12)}${String.fromCharCode(byte)}${'e'.repeat(12)}`;
    const requests = sent.map((byte) => ({ ...base, ':path': value(byte) }));
    const decoder = createHeaderDecoder();
    const paths = (await blocksOf(requests)).map((block) => {
      expect(block.length).toBeLessThan(110);
      return decoder.decode(block).fields.find(([name]) => name === ':path')![1];
    });
    expect(paths).toEqual(sent.map(value));
    for (const [byte, code] of unsent) {
      const [digits, bits] = code.split(' ') as [string, string];
      const padded = `${Number(`0x${digits}`).toString(2).padStart(Number(bits), '0')}`.padEnd(32, '1').slice(0, 32);
      const bytes = padded.match(/.{8}/g)!.slice(0, Math.ceil(Number(bits) / 8));
      const text = bytes.map((eight) => parseInt(eight, 2).toString(16).padStart(2, '0')).join('');
      expect(fieldsOf(decoder, `04 8${bytes.length} ${text}`)).toEqual([[':path', String.fromCharCode(byte)]]);
    }
  });
});

describe('hostile blocks', () => {
  it.each([
    ['an index of 0', '80', 'index 0, wants 1 to 61'],
    ['an index beyond the tables', 'be', 'index 62, wants 1 to 61'],
    ['a name beyond the tables', '7f 00 01 61', 'index 63, wants 1 to 61'],
    ['a number that goes on and on', 'ff 80 80 80 80 01', 'longer than five bytes'],
    ['a number that overflows', 'ff ff ff ff ff ff ff ff ff 7f', 'longer than five bytes'],
    ['a number that breaks off', 'ff 80', 'breaks off'],
    ['a literal without its name', '40', 'breaks off'],
    ['a literal without its value', '0401 6100 0161', 'breaks off'],
    ['a string longer than its block', '04 05 61626364', 'a string wants 5 bytes, 4 are left of its block'],
    ['a huge string', '04 7f ff ff ff 7f', 'a string wants 268435582 bytes, 0 are left'],
    ['a table larger than the limit', '3f e2 1f', 'a table of 4097 bytes, the limit is 4096'],
    ['a change of size after a field', '82 20', 'changes after the first field'],
    ['the end of a string within it', '04 85 ff ff ff ff fc', 'holds the code for its end'],
    ['more than seven ones as padding', '04 82 1f ff', 'padded with something else'],
    ['zeros as padding', '04 81 18', 'padded with something else'],
  ])('with %s are refused', (_, block, message) => {
    const decode = () => createHeaderDecoder().decode(hex(block));
    expect(decode).toThrow(HeaderBlockError);
    expect(decode).toThrow(message);
  });

  it('empty the table with a field larger than it', () => {
    const decoder = createHeaderDecoder({ tableBytes: 64 });
    expect(fieldsOf(decoder, '4001 6101 62 be')).toHaveLength(2);
    const long = Buffer.concat([hex('4001 61 20'), Buffer.alloc(32, 'v')]);
    expect(decoder.decode(long).fields).toEqual([['a', 'v'.repeat(32)]]);
    expect(() => fieldsOf(decoder, 'be')).toThrow('index 62, wants 1 to 61');
  });

  it('change the size of the table at their start as often as they like', () => {
    const decoder = createHeaderDecoder({ tableBytes: 8192 });
    fieldsOf(decoder, '4001 6101 62');
    expect(fieldsOf(decoder, '3f e1 1f be')).toEqual([['a', 'b']]);
    expect(fieldsOf(decoder, '20 3f e1 3f 82')).toEqual([[':method', 'GET']]);
    expect(() => fieldsOf(decoder, 'be')).toThrow('index 62, wants 1 to 61');
  });

  it('say a long field many thousand times, and no more than the bound is kept', () => {
    const decoder = createHeaderDecoder();
    const long = Buffer.concat([hex('4001 61 7f 81 1e'), Buffer.alloc(3968, 'v')]);
    const bomb = Buffer.concat([long, Buffer.alloc(1_000_000, 0xbe), hex('4001 6201 63')]);
    const { fields, tooLarge } = decoder.decode(bomb);
    expect([fields.length, tooLarge]).toEqual([4, true]);
    // what came after the bound is in the table
    expect(decoder.decode(hex('be'))).toEqual({ fields: [['b', 'c']], tooLarge: false });
  });

  it('of random bytes are read or refused, and nothing else', () => {
    let state = 7541;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const sound = hex(
      '3f e1 1f 8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff 4001 6101 62 be 1008 7061 7373 776f 7264 0131',
    );
    const outcomes = { read: 0, refused: 0 };
    for (let round = 0; round < 60_000; round++) {
      const block = round % 2 ? Buffer.alloc(random(60)) : Buffer.from(sound.subarray(0, 1 + random(sound.length)));
      if (round % 2) block.forEach((_, i) => (block[i] = random(256)));
      else block[random(block.length)] = random(256);
      try {
        const { fields } = createHeaderDecoder().decode(block);
        for (const [name, value] of fields) expect(typeof name + typeof value).toBe('stringstring');
        outcomes.read++;
      } catch (error) {
        if (!(error instanceof HeaderBlockError)) throw error;
        outcomes.refused++;
      }
    }
    expect(outcomes.read).toBeGreaterThan(1000);
    expect(outcomes.refused).toBeGreaterThan(1000);
  });
});
