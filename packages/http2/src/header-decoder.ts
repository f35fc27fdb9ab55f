import { HeaderBlockError, HeaderTable, fieldBytes } from './header-table.js';
import type { HeaderField } from './header-table.js';
import { huffmanDecode, textOf } from './huffman.js';

export { HeaderBlockError };

/** The fields of a header block, in order: those within the bound on their bytes. */
export interface DecodedHeaders {
  readonly fields: readonly HeaderField[];
  /** Whether there was more than wanted (RFC 9113 6.5.2). The table is kept whole, so only the stream is lost. */
  readonly tooLarge: boolean;
}

/** Reads the header blocks of one direction of a connection, in the order of their arrival. */
export interface HeaderDecoder {
  /** Throws `HeaderBlockError`, after which no other block can be read. Names are given as sent. */
  decode(block: Buffer): DecodedHeaders;
}

/**
 * @param options.tableBytes the size of the dynamic table that the peer may choose; it begins with no more than 4096.
 * @param options.listBytes how much of one block is kept, in bytes of names and values and 32 for each field.
 */
export function createHeaderDecoder(options: { tableBytes?: number; listBytes?: number } = {}): HeaderDecoder {
  const { tableBytes = 4096, listBytes = 16384 } = options;
  const table = new HeaderTable(tableBytes);
  return { decode: (block) => decodeBlock(new BlockReader(block), table, listBytes) };
}

/** One loop over the representations of RFC 7541 6; it goes on where the list is too large, for the table's sake. */
function decodeBlock(reader: BlockReader, table: HeaderTable, listBytes: number): DecodedHeaders {
  const fields: HeaderField[] = [];
  let bytes = 0;
  let isStart = true;
  while (reader.hasMore()) {
    const first = reader.byte();
    let field: HeaderField;
    if (first >= 0x80) field = table.field(reader.integer(first, 0x7f));
    else if (first >= 0x40) {
      const name = nameOf(reader, table, reader.integer(first, 0x3f));
      field = table.add(name, reader.text());
    } else if (first >= 0x20) {
      if (!isStart) throw new HeaderBlockError("a table's size changes after the first field of a block");
      table.resize(reader.integer(first, 0x1f));
      continue;
    } else {
      // without indexing, or never indexed: the difference matters to who sends it on
      const name = nameOf(reader, table, reader.integer(first, 0x0f));
      field = [name, reader.text()];
    }
    isStart = false;
    bytes += fieldBytes(field);
    if (bytes <= listBytes) fields.push(field);
  }
  return { fields, tooLarge: bytes > listBytes };
}

const nameOf = (reader: BlockReader, table: HeaderTable, index: number): string =>
  index === 0 ? reader.text() : table.field(index)[0];

/** The primitives of RFC 7541 5. */
class BlockReader {
  #at = 0;
  readonly #block: Buffer;

  constructor(block: Buffer) {
    this.#block = block;
  }

  hasMore(): boolean {
    return this.#at < this.#block.length;
  }

  byte(): number {
    if (this.#at >= this.#block.length) throw new HeaderBlockError('a header block breaks off');
    return this.#block[this.#at++]!;
  }

  /** A number that begins in the bits of `mask` in its first byte. Five bytes are room for more than any block holds. */
  integer(first: number, mask: number): number {
    let value = first & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HeaderBlockError('a number in a header block is longer than five bytes');
  }

  text(): string {
    const first = this.byte();
    const length = this.integer(first, 0x7f);
    const from = this.#at;
    const left = this.#block.length - from;
    if (length > left) throw new HeaderBlockError(`a string wants ${length} bytes, ${left} are left of its block`);
    this.#at = from + length;
    return first >= 0x80 ? huffmanDecode(this.#block, from, this.#at) : textOf(this.#block, from, this.#at);
  }
}
