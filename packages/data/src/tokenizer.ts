import { DatasetError } from './table.js';

/** Text as token ids and back. Ids are 0 … size − 1 and fit 16 bits. */
export interface Tokenizer {
  /** How many tokens there are, at most 65,536. */
  readonly size: number;
  /** Throws TokenizerError for text it has no tokens for. */
  encode(text: string): Uint16Array;
  /** Ids that break a character off give U+FFFD in its place. Throws TokenizerError for an id beyond `size`. */
  decode(ids: ArrayLike<number>): string;
  /** UTF-8 of one token; a byte-pair token may be a part of a character. */
  bytesOf(id: number): Uint8Array;
  /** What `openTokenizer` makes the same tokenizer of. */
  toJSON(): TokenizerJson;
}

export type TokenizerJson =
  | { readonly kind: 'character'; readonly characters: readonly string[] }
  /** Merge i makes token 256 + i of the two tokens it names; tokens 0 … 255 are the bytes. */
  | { readonly kind: 'byte_pair'; readonly merges: readonly (readonly [number, number])[] };

/** Which tokenizer to learn from a text. */
export type TokenizerSpec =
  | { readonly kind: 'character' }
  /** Tokens wanted, 257 to 65,536; a text without that many repeated pairs gives fewer. */
  | { readonly kind: 'byte_pair'; readonly vocabulary: number };

/** A text or a stored tokenizer that cannot be used; the message names what was got and what is wanted. */
export class TokenizerError extends DatasetError {
  override readonly name = 'TokenizerError';
}

/** The entry of a model's metadata that says how text becomes its tokens: the tokenizer's JSON. */
export const tokenizerKey = 'modelmill.tokenizer';
/** The entry that says of how many tokens the windows were that it learned from. */
export const contextKey = 'modelmill.context';

export const mostTokens = 65_536;

export const unknownToken = (id: number, size: number) =>
  new TokenizerError(`got token ${id}, wanted 0 to ${size - 1}`);
