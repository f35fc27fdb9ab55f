import { TokenizerError, mostTokens, unknownToken } from './tokenizer.js';
import type { Tokenizer } from './tokenizer.js';

/** One token per distinct character (code point) of the text, in code point order. Throws TokenizerError. */
export function learnCharacters(pieces: Iterable<string>): Tokenizer {
  const seen = new Set<string>();
  for (const piece of pieces) addCharacters(seen, piece);
  return characterTokenizer(inOrder(seen));
}

export function addCharacters(seen: Set<string>, piece: string): void {
  for (const character of piece) seen.add(character);
  if (seen.size > mostTokens) {
    throw new TokenizerError(`the text has more than ${mostTokens} distinct characters, wanted at most that`);
  }
}

export const inOrder = (characters: Iterable<string>) =>
  [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);

/** The tokenizer of these characters: the i-th is token i. */
export function characterTokenizer(characters: readonly string[]): Tokenizer {
  const ids = new Map(characters.map((character, id) => [character, id]));
  if (ids.size !== characters.length || ids.size > mostTokens || ids.size === 0) {
    throw new TokenizerError(
      `got ${characters.length} characters, ${ids.size} of them distinct, wanted 1 to ${mostTokens} distinct ones`,
    );
  }
  const encoder = new TextEncoder();
  const at = (id: number) => {
    const character = characters[id];
    if (character === undefined) throw unknownToken(id, characters.length);
    return character;
  };
  return {
    size: characters.length,
    encode(text) {
      const tokens = new Uint16Array(text.length);
      let length = 0;
      for (const character of text) {
        const id = ids.get(character);
        if (id === undefined) {
          throw new TokenizerError(
            `character ${length + 1} is ${JSON.stringify(character)}, wanted one of the ${characters.length} known`,
          );
        }
        tokens[length++] = id;
      }
      return tokens.slice(0, length);
    },
    decode: (tokens) => Array.from(tokens, at).join(''),
    bytesOf: (id) => encoder.encode(at(id)),
    toJSON: () => ({ kind: 'character', characters }),
  };
}
