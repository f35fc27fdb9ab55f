import { addCharacters, characterTokenizer, inOrder } from './character-tokenizer.js';
import { bytePairTokenizer } from './byte-pair-tokenizer.js';
import { contentError, openContent } from './content.js';
import { checkVocabulary, createPieceCounter, learnMerges } from './learn-byte-pairs.js';
import { DatasetError, tableLimits } from './table.js';
import { createCutter } from './text-pieces.js';
import { createTokenWriter } from './token-stream.js';
import type { TokenStream } from './token-stream.js';
import type { Tokenizer, TokenizerSpec } from './tokenizer.js';

/** Plain UTF-8 text for language models, gzip or not. */
export interface TextFormat {
  readonly kind: 'text';
}

/** Bytes of text that byte pairs are learned from: more of the same changes little. */
const mostLearnedFrom = 64 * 2 ** 20;

/** The text in parts, as it is read. Throws DatasetError for what is not UTF-8 or longer than `decodedBytes`. */
export async function* readText(path: string, decodedBytes = tableLimits.decodedBytes): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let seen = 0;
  const decode = (part?: Uint8Array) => {
    try {
      return decoder.decode(part, { stream: part !== undefined });
    } catch (error) {
      const where = part ? `bytes ${seen + 1} to ${seen + part.length}` : 'the last bytes';
      throw new DatasetError(`${where}: got something else, wanted UTF-8 text`, { cause: error });
    }
  };
  try {
    for await (const part of await openContent(path, decodedBytes)) {
      const text = decode(part as Buffer);
      seen += (part as Buffer).length;
      if (text.includes('\0')) throw new DatasetError(`bytes up to ${seen}: got a NUL character, wanted text`);
      if (text !== '') yield text;
    }
  } catch (error) {
    throw contentError(error);
  }
  decode();
  if (seen === 0) throw new DatasetError('got 0 characters, wanted at least 1');
}

/** Learns a tokenizer from a text file; the same file gives the same one. Throws DatasetError or TokenizerError. */
export async function learnTokenizer(path: string, spec: TokenizerSpec): Promise<Tokenizer> {
  switch (spec.kind) {
    case 'character': {
      const seen = new Set<string>();
      for await (const part of readText(path)) addCharacters(seen, part);
      return characterTokenizer(inOrder(seen));
    }
    case 'byte_pair': {
      checkVocabulary(spec.vocabulary);
      const counter = createPieceCounter();
      let read = 0;
      for await (const stretch of stretchesOf(path)) {
        counter.add(stretch);
        read += stretch.length;
        if (read >= mostLearnedFrom) break;
      }
      return bytePairTokenizer(learnMerges(counter.pieces, spec.vocabulary - 256));
    }
  }
}

/** A text file as tokens. Throws DatasetError, and TokenizerError for characters the tokenizer does not know. */
export async function readTokens(path: string, tokenizer: Tokenizer): Promise<TokenStream> {
  const writer = createTokenWriter();
  for await (const stretch of stretchesOf(path)) writer.add(tokenizer.encode(stretch));
  return writer.finish();
}

/** Text in stretches that end where pieces do, so that reading in parts changes no token. */
async function* stretchesOf(path: string): AsyncGenerator<string> {
  const cutter = createCutter();
  for await (const part of readText(path)) yield cutter.add(part);
  yield cutter.rest();
}
