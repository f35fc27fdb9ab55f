import { readNumberList } from './number-list.js';
import type { NumberList } from './number-list.js';

/** A number as it was written: what it means depends on the datatype it is read for. */
export interface NumberLiteral {
  readonly literal: string;
}

/** A part of the text that was skipped, to be read later: from its first character to behind its last. */
export interface RawRange {
  readonly from: number;
  readonly to: number;
  /** What it holds, where that is plain numbers; null where it is not, and absent where nobody looked. */
  readonly numbers?: NumberList | null;
}

export type JsonObject = ReadonlyMap<string, JsonNode>;
export type JsonNode = JsonObject | readonly JsonNode[] | NumberLiteral | RawRange | string | boolean | null;

/** The text is not JSON, or not JSON we take; `at` is a character position. */
export class JsonTextError extends Error {
  override readonly name = 'JsonTextError';
}

const maxDepth = 100;
const maxValues = 200_000; // beside tensors' data: more is no request, and takes seconds to hold
const literal = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|-?Infinity|NaN/y;

/**
 * Reads JSON without losing digits: numbers stay literals, objects are maps (so that no key is special), and the values
 * of the keys in `raw` are skipped unread. Refuses nesting beyond 100, more than 200,000 values, a key given twice, and
 * text behind the value. Takes the bare tokens NaN, Infinity and -Infinity, as Triton does. Where it is given the bytes that
 * the text was, it reads plain numbers from them instead of skipping them.
 */
export function readJson(text: string, raw: ReadonlySet<string> = new Set(), bytes?: Buffer): JsonNode {
  // in ASCII, and only there, every character is a byte and lies where its byte does
  const cursor = { at: 0, values: 0, ascii: bytes?.length === text.length ? bytes : undefined };
  const node = readValue(text, cursor, raw, 0);
  skipSpace(text, cursor);
  if (cursor.at < text.length) throw unexpected(text, cursor.at, 'the end');
  return node;
}

interface Cursor {
  at: number;
}

interface CountingCursor extends Cursor {
  values: number;
  readonly ascii: Buffer | undefined;
}

/** Where the members of the list lie in the text. */
export function membersOf(text: string, { from, to }: RawRange): RawRange[] {
  const cursor = { at: from + 1 };
  const members: RawRange[] = [];
  skipSpace(text, cursor);
  if (cursor.at === to - 1) return members;
  for (;;) {
    members.push(skipValue(text, cursor));
    skipSpace(text, cursor);
    if (cursor.at >= to - 1) return members;
    if (text[cursor.at] !== ',') throw unexpected(text, cursor.at, "',' or ']'");
    cursor.at++;
  }
}

function readValue(text: string, cursor: CountingCursor, raw: ReadonlySet<string>, depth: number): JsonNode {
  if (++cursor.values > maxValues) throw new JsonTextError(`the JSON has more than ${maxValues} values`);
  if (depth > maxDepth) throw new JsonTextError(`JSON nesting depth exceeds maximum allowed limit (${maxDepth})`);
  skipSpace(text, cursor);
  switch (text[cursor.at]) {
    case '{':
      return readObject(text, cursor, raw, depth);
    case '[':
      return readArray(text, cursor, raw, depth);
    case '"':
      return readString(text, cursor);
    case 't':
      return readWord(text, cursor, 'true', true);
    case 'f':
      return readWord(text, cursor, 'false', false);
    case 'n':
      return readWord(text, cursor, 'null', null);
    default:
      return { literal: readLiteral(text, cursor) };
  }
}

function readObject(text: string, cursor: CountingCursor, raw: ReadonlySet<string>, depth: number): JsonObject {
  const object = new Map<string, JsonNode>();
  cursor.at++;
  skipSpace(text, cursor);
  if (text[cursor.at] === '}') {
    cursor.at++;
    return object;
  }
  for (;;) {
    skipSpace(text, cursor);
    if (text[cursor.at] !== '"') throw unexpected(text, cursor.at, 'a key');
    const key = readString(text, cursor);
    if (object.has(key)) throw new JsonTextError(`key '${key}' is given twice`);
    skipSpace(text, cursor);
    if (text[cursor.at] !== ':') throw unexpected(text, cursor.at, "':'");
    cursor.at++;
    object.set(key, raw.has(key) ? readRaw(text, cursor) : readValue(text, cursor, raw, depth + 1));
    skipSpace(text, cursor);
    const next = text[cursor.at++];
    if (next === '}') return object;
    if (next !== ',') throw unexpected(text, cursor.at - 1, "',' or '}'");
  }
}

function readArray(text: string, cursor: CountingCursor, raw: ReadonlySet<string>, depth: number): JsonNode[] {
  const array: JsonNode[] = [];
  cursor.at++;
  skipSpace(text, cursor);
  if (text[cursor.at] === ']') {
    cursor.at++;
    return array;
  }
  for (;;) {
    array.push(readValue(text, cursor, raw, depth + 1));
    skipSpace(text, cursor);
    const next = text[cursor.at++];
    if (next === ']') return array;
    if (next !== ',') throw unexpected(text, cursor.at - 1, "',' or ']'");
  }
}

function readRaw(text: string, cursor: CountingCursor): RawRange {
  skipSpace(text, cursor);
  const from = cursor.at;
  if (cursor.ascii === undefined) return skipValue(text, cursor);
  const numbers = readNumberList(cursor.ascii, from);
  return numbers ? { from, to: (cursor.at = numbers.to), numbers } : { ...skipValue(text, cursor), numbers: null };
}

/** Steps over one value by its brackets alone; whoever reads the range checks it. */
function skipValue(text: string, cursor: Cursor): RawRange {
  skipSpace(text, cursor);
  const from = cursor.at;
  if (text[from] !== '[' && text[from] !== '{') {
    if (text[from] === '"') readString(text, cursor);
    else cursor.at += /^[^\s,\]}]*/.exec(text.slice(from, from + 64))![0].length;
    return { from, to: cursor.at };
  }
  let open = 0;
  for (; cursor.at < text.length; cursor.at++) {
    const c = text.charCodeAt(cursor.at);
    if (c === 0x22) {
      readString(text, cursor);
      cursor.at--;
    } else if (c === 0x5b || c === 0x7b) open++;
    else if ((c === 0x5d || c === 0x7d) && --open === 0) return { from, to: ++cursor.at };
  }
  throw unexpected(text, text.length, 'a closing bracket');
}

export function readString(text: string, cursor: Cursor): string {
  const from = cursor.at;
  if (text[from] !== '"') throw unexpected(text, from, 'a string');
  const plain = endOfPlain(text, from + 1);
  if (plain !== undefined) {
    cursor.at = plain + 1;
    return text.slice(from + 1, plain);
  }
  // no regular expression: its stack would end before a long string does
  let end = text.indexOf('"', from + 1);
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  if (end < 0) throw unexpected(text, text.length, 'the end of a string');
  cursor.at = end + 1;
  const value = unquoted(text.slice(from, end + 1), from);
  if (/\p{Surrogate}/u.test(value)) throw new JsonTextError('a string holds half of a surrogate pair');
  return value;
}

/** Where a string ends that is what stands there: printable ASCII without escapes. */
function endOfPlain(text: string, from: number): number | undefined {
  for (let at = from; ; at++) {
    const c = text.charCodeAt(at);
    if (c === 0x22) return at;
    if (!(c >= 0x20 && c <= 0x7e) || c === 0x5c) return undefined;
  }
}

function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text[before - 1] === '\\') before--;
  return (at - before) % 2 === 1;
}

function unquoted(quoted: string, at: number): string {
  try {
    return JSON.parse(quoted) as string;
  } catch (cause) {
    const shown = quoted.length > 40 ? `${quoted.slice(0, 40)}…` : quoted;
    throw new JsonTextError(`invalid JSON at character ${at}: ${JSON.stringify(shown)} is no string`, { cause });
  }
}

export function readLiteral(text: string, cursor: Cursor): string {
  literal.lastIndex = cursor.at;
  const [found] = literal.exec(text) ?? [];
  if (found === undefined) throw unexpected(text, cursor.at, 'a value');
  cursor.at += found.length;
  return found;
}

function readWord<T>(text: string, cursor: Cursor, word: string, value: T): T {
  if (!text.startsWith(word, cursor.at)) throw unexpected(text, cursor.at, word);
  cursor.at += word.length;
  return value;
}

export function skipSpace(text: string, cursor: Cursor): void {
  for (;;) {
    const c = text.charCodeAt(cursor.at);
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
    cursor.at++;
  }
}

function unexpected(text: string, at: number, wanted: string): JsonTextError {
  const got = at >= text.length ? 'the end' : JSON.stringify(text.slice(at, at + 12));
  return new JsonTextError(`invalid JSON at character ${at}: got ${got}, wanted ${wanted}`);
}
