import { staticFields } from './header-table.js';
import type { HeaderField } from './header-table.js';

/** Where the static table has a name: its first index, and the index of each value it has. */
interface StaticName {
  readonly index: number;
  readonly values: Map<string, number>;
}

const staticNames = new Map<string, StaticName>();
staticFields.forEach(([name, value], index) => {
  if (index === 0) return;
  let entry = staticNames.get(name);
  if (!entry) staticNames.set(name, (entry = { index, values: new Map() }));
  entry.values.set(value, index);
});

/** A first byte, and the lengths of name and value with at most five bytes each. */
const mostOverheadBytes = 11;

/**
 * A header block of the fields, in order. It never touches the peer's dynamic table, so blocks may be made in any order
 * and kept: static indices and literals without indexing, no Huffman.
 */
export function encodeHeaders(fields: Iterable<HeaderField>): Buffer {
  const list = Array.isArray(fields) ? (fields as readonly HeaderField[]) : [...fields];
  let mostBytes = 0;
  for (const field of list) mostBytes += field[0].length + field[1].length + mostOverheadBytes;
  const block = Buffer.allocUnsafe(mostBytes);
  let at = 0;
  for (const field of list) at = writeField(block, at, field);
  return block.subarray(0, at);
}

/** Each writer gives the place after what it wrote. */
function writeField(block: Buffer, at: number, field: HeaderField): number {
  // not destructured: iterating an array of two takes longer than writing it
  const name = field[0];
  const value = field[1];
  const known = staticNames.get(name);
  const index = known?.values.get(value);
  if (index !== undefined) return writeInteger(block, at, 0x80, 0x7f, index);
  at = writeInteger(block, at, 0, 0x0f, known ? known.index : 0);
  if (!known) at = writeText(block, at, name, field);
  return writeText(block, at, value, field);
}

function writeInteger(block: Buffer, at: number, flags: number, mask: number, value: number): number {
  if (value < mask) {
    block[at] = flags | value;
    return at + 1;
  }
  block[at++] = flags | mask;
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) block[at++] = (rest & 0x7f) | 0x80;
  block[at] = rest;
  return at + 1;
}

function writeText(block: Buffer, at: number, text: string, field: HeaderField): number {
  at = writeInteger(block, at, 0, 0x7f, text.length);
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bits |= code;
    block[at++] = code;
  }
  if (bits > 0xff) throw new TypeError(`header '${field[0]}' has a character beyond latin1: '${text}'`);
  return at;
}
