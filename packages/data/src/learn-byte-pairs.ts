import { bytePairTokenizer } from './byte-pair-tokenizer.js';
import { merged, pairKey } from './merge.js';
import type { Merge } from './merge.js';
import { cutLoose, piecesOf } from './text-pieces.js';
import { TokenizerError, mostTokens } from './tokenizer.js';
import type { Tokenizer } from './tokenizer.js';

/** Byte-level byte-pair encoding learned from a text. Throws TokenizerError for a size out of range. */
export function learnBytePairs(texts: Iterable<string>, vocabulary: number): Tokenizer {
  checkVocabulary(vocabulary);
  const counter = createPieceCounter();
  for (const text of texts) counter.add(text);
  return bytePairTokenizer(learnMerges(counter.pieces, vocabulary - 256));
}

export function checkVocabulary(vocabulary: number): void {
  if (Number.isInteger(vocabulary) && vocabulary > 256 && vocabulary <= mostTokens) return;
  throw new TokenizerError(`the vocabulary is ${vocabulary}, wanted 257 to ${mostTokens}`);
}

/** Characters of different pieces that are counted, and that merges are learned from: text may repeat nothing. */
const mostCharacters = { counted: 16 * 2 ** 20, learnedFrom: 2 * 2 ** 20 };

/** Counts the pieces of a text that comes in parts. */
export function createPieceCounter() {
  const pieces = new Map<string, number>();
  let room = mostCharacters.counted;
  return {
    pieces,
    add(text: string): void {
      for (const piece of piecesOf(text)) {
        const count = pieces.get(piece);
        if (count !== undefined) pieces.set(piece, count + 1);
        else if ((room -= piece.length) >= 0) pieces.set(cutLoose(piece), 1);
      }
    },
  };
}

/** The pieces that occur most often, of equals those that came first, as far as there is room. */
function frequent(pieces: ReadonlyMap<string, number>): (readonly [string, number])[] {
  let room = mostCharacters.learnedFrom;
  return [...pieces].sort(([, a], [, b]) => b - a).filter(([piece]) => (room -= piece.length) >= 0);
}

/** A piece of text that occurs `count` times, as the tokens it is made of so far. */
interface Word {
  tokens: number[];
  readonly count: number;
}

/**
 * Byte-pair encoding (Sennrich, Haddow and Birch 2016) over bytes: again and again the pair of neighbours that occurs most
 * often becomes a token; of equals, the one of the smaller ids. Ends early where no pair occurs twice.
 */
export function learnMerges(pieces: ReadonlyMap<string, number>, wanted: number): Merge[] {
  const encoder = new TextEncoder();
  const words: Word[] = frequent(pieces).map(([piece, count]) => ({ tokens: [...encoder.encode(piece)], count }));
  const counts = new Map<number, number>();
  /** Words that a pair has occurred in. */
  const places = new Map<number, Set<number>>();
  const queue = createPairQueue();
  words.forEach((word, at) => addPairs(word, at, 1));
  for (const [pair, count] of counts) queue.push(pair, count);

  const merges: Merge[] = [];
  while (merges.length < wanted) {
    const next = queue.pop((pair) => counts.get(pair) ?? 0);
    if (next === undefined) break;
    const [left, right] = [Math.floor(next / 65_536), next % 65_536];
    const made = 256 + merges.length;
    merges.push([left, right]);
    const changed = new Set<number>();
    for (const at of places.get(next)!) {
      const word = words[at]!;
      const tokens = merged(word.tokens, left, right, made);
      if (tokens.length === word.tokens.length) continue; // another merge took the pair apart
      addPairs(word, at, -1, changed);
      word.tokens = tokens;
      addPairs(word, at, 1, changed);
    }
    places.delete(next);
    for (const pair of changed) {
      const count = counts.get(pair)!;
      if (count > 0) queue.push(pair, count);
      else counts.delete(pair);
    }
  }
  return merges;

  function addPairs({ tokens, count }: Word, at: number, sign: 1 | -1, changed?: Set<number>): void {
    for (let i = 1; i < tokens.length; i++) {
      const pair = pairKey(tokens[i - 1]!, tokens[i]!);
      counts.set(pair, (counts.get(pair) ?? 0) + sign * count);
      changed?.add(pair);
      if (sign < 0) continue;
      const known = places.get(pair);
      if (known) known.add(at);
      else places.set(pair, new Set([at]));
    }
  }
}

/** Pairs by count, then by id: a binary heap whose entries grow stale instead of moving. */
function createPairQueue() {
  const heap: { readonly pair: number; readonly count: number }[] = [];
  const before = (a: number, b: number) => {
    const [x, y] = [heap[a]!, heap[b]!];
    return x.count > y.count || (x.count === y.count && x.pair < y.pair);
  };
  const swap = (a: number, b: number) => ([heap[a], heap[b]] = [heap[b]!, heap[a]!]);
  function push(pair: number, count: number): void {
    let at = heap.push({ pair, count }) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && before(at, parent); at = parent, parent = (at - 1) >> 1) {
      swap(at, parent);
    }
  }
  function take() {
    const first = heap[0];
    const last = heap.pop();
    if (first === last || last === undefined) return first;
    heap[0] = last;
    for (let at = 0; ;) {
      const child = 2 * at + 1;
      if (child >= heap.length) return first;
      const better = child + 1 < heap.length && before(child + 1, child) ? child + 1 : child;
      if (!before(better, at)) return first;
      swap(at, better);
      at = better;
    }
  }
  return {
    push,
    /** The pair of the largest count now; undefined where none occurs twice. */
    pop(countOf: (pair: number) => number): number | undefined {
      for (let entry = take(); entry !== undefined; entry = take()) {
        if (entry.count < 2) return undefined;
        if (countOf(entry.pair) === entry.count) return entry.pair;
      }
      return undefined;
    },
  };
}
