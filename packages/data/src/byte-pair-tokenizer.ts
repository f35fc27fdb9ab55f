import { merged, pairKey } from './merge.js';
import type { Merge } from './merge.js';
import { cutLoose, piecesOf } from './text-pieces.js';
import { mostTokens, unknownToken } from './tokenizer.js';
import type { Tokenizer } from './tokenizer.js';

/** Pieces whose tokens are remembered: text repeats itself. */
const mostRemembered = 100_000;

export function isMerges(merges: unknown): merges is readonly Merge[] {
  if (!Array.isArray(merges) || merges.length > mostTokens - 256) return false;
  return merges.every(
    (merge: unknown, i) =>
      Array.isArray(merge) &&
      merge.length === 2 &&
      merge.every((token) => Number.isInteger(token) && token >= 0 && token < 256 + i),
  );
}

/** The tokenizer of these merges, in the order they were learned. */
export function bytePairTokenizer(merges: readonly Merge[]): Tokenizer {
  const size = 256 + merges.length;
  const made = new Map(merges.map(([left, right], i) => [pairKey(left, right), 256 + i]));
  const bytes: Uint8Array[] = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  for (const [left, right] of merges) bytes.push(joined([bytes[left]!, bytes[right]!]));
  const bytesOf = (id: number) => {
    const found = bytes[id];
    if (found === undefined) throw unknownToken(id, size);
    return found;
  };
  const encoder = new TextEncoder();
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const remembered = new Map<string, readonly number[]>();
  const tokensOf = (piece: string) => {
    const known = remembered.get(piece);
    if (known) return known;
    const tokens = mergeAll([...encoder.encode(piece)], made);
    if (remembered.size < mostRemembered) remembered.set(cutLoose(piece), tokens);
    return tokens;
  };
  return {
    size,
    encode(text) {
      const tokens: number[] = [];
      for (const piece of piecesOf(text)) for (const token of tokensOf(piece)) tokens.push(token);
      return Uint16Array.from(tokens);
    },
    decode: (ids) => decoder.decode(joined(Array.from(ids, bytesOf))),
    bytesOf,
    toJSON: () => ({ kind: 'byte_pair', merges }),
  };
}

/** Merges as they were learned: always the earliest one that fits. */
function mergeAll(tokens: number[], made: ReadonlyMap<number, number>): number[] {
  for (;;) {
    let first = Infinity;
    for (let i = 1; i < tokens.length; i++) {
      first = Math.min(first, made.get(pairKey(tokens[i - 1]!, tokens[i]!)) ?? Infinity);
    }
    if (first === Infinity) return tokens;
    const at = tokens.findIndex((token, i) => i > 0 && made.get(pairKey(tokens[i - 1]!, token)) === first);
    tokens = merged(tokens, tokens[at - 1]!, tokens[at]!, first);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
