import { bytePairTokenizer, isMerges } from './byte-pair-tokenizer.js';
import { characterTokenizer } from './character-tokenizer.js';
import { TokenizerError, tokenizerKey } from './tokenizer.js';
import type { Tokenizer } from './tokenizer.js';

/** The tokenizer that a model's metadata has; undefined where it has none. Throws TokenizerError. */
export function tokenizerIn(metadata: ReadonlyMap<string, string>): Tokenizer | undefined {
  const text = metadata.get(tokenizerKey);
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined; // what is no JSON is no tokenizer: what opens one says so
  }
  return openTokenizer(json);
}

/** A tokenizer as it was stored with its model. Throws TokenizerError. */
export function openTokenizer(json: unknown): Tokenizer {
  const { kind, characters, merges } = (json ?? {}) as Record<string, unknown>;
  if (kind === 'character' && Array.isArray(characters) && characters.every(isCharacter)) {
    return characterTokenizer(characters);
  }
  if (kind === 'byte_pair' && isMerges(merges)) return bytePairTokenizer(merges);
  throw new TokenizerError(
    `got a tokenizer of kind ${JSON.stringify(kind) ?? 'none'} whose tokens are not as wanted: ` +
      `'character' with its characters, or 'byte_pair' with merges of tokens made before them`,
  );
}

const isCharacter = (value: unknown): value is string => typeof value === 'string' && [...value].length === 1;
