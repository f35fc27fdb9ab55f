import { bytePairTokenizer, isMerges } from './byte-pair-tokenizer.js';
import { characterTokenizer } from './character-tokenizer.js';
import { TokenizerError } from './tokenizer.js';
import type { Tokenizer } from './tokenizer.js';

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
