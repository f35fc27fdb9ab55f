import * as errors from './errors.js';
import { JsonTextError, readJson } from './json-text.js';
import type { JsonNode, JsonObject, NumberLiteral, RawRange } from './json-text.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A body's text: UTF-8, and nothing before it. */
export function textOf(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw Object.assign(errors.badJson('the body is not UTF-8'), { cause });
  }
}

/** A JSON object's members; the values of the keys in `raw` are left to be read later. Throws INVALID_ARGUMENT. */
export function readJsonObject(text: string, raw?: ReadonlySet<string>, bytes?: Buffer): JsonObject {
  const node = translated(() => readJson(text, raw, bytes));
  if (!(node instanceof Map)) throw errors.notAnObject();
  return node as JsonObject;
}

/** Passes on a fault in a JSON text as INVALID_ARGUMENT. */
export function translated<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof JsonTextError) throw errors.badJson(error.message);
    throw error;
  }
}

/** The same as JSON.parse gives it, but that integers no double can hold are strings, as protobuf's JSON has them. */
export function plain(node: JsonNode): unknown {
  if (node instanceof Map) {
    if (node.has('__proto__')) throw errors.badJson("key '__proto__' is not taken"); // it would set a prototype
    return Object.fromEntries([...(node as JsonObject)].map(([key, value]) => [key, plain(value)]));
  }
  if (Array.isArray(node)) return node.map(plain);
  if (isLiteral(node)) {
    const value = Number(node.literal);
    if (Number.isSafeInteger(value) || (Number.isFinite(value) && !/^-?\d+$/.test(node.literal))) return value;
    if (/^-?\d+$/.test(node.literal)) return node.literal;
    throw errors.badJson(`got ${node.literal}, wanted a number that JSON can hold`);
  }
  return node;
}

export const isLiteral = (node: JsonNode | undefined): node is NumberLiteral =>
  typeof node === 'object' && node !== null && 'literal' in node;

export const isRange = (node: JsonNode | undefined): node is RawRange =>
  typeof node === 'object' && node !== null && 'from' in node && 'to' in node;

export const isObject = (node: JsonNode | undefined): node is JsonObject => node instanceof Map;
export const isList = (node: JsonNode | undefined): node is readonly JsonNode[] => Array.isArray(node);

/** A value in an error: what it is, or its beginning. */
export function show(node: JsonNode | undefined): string {
  if (node === undefined) return 'nothing';
  if (isObject(node)) return 'an object';
  if (isList(node)) return 'a list';
  if (isLiteral(node)) return node.literal.slice(0, 40);
  if (isRange(node)) return 'data';
  return JSON.stringify(node).slice(0, 80);
}

export function stringIn(object: JsonObject, place: string, key: string): string {
  const value = object.get(key);
  if (value === undefined) throw errors.missingField(place, key);
  if (typeof value !== 'string') throw errors.wrongField(key, show(value), 'a string');
  return value;
}

export function onlyKnown(object: JsonObject, place: string, known: readonly string[]): void {
  for (const key of object.keys()) if (!known.includes(key)) throw errors.unknownField(place, key, known);
}
