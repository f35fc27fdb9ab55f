/**
 * Pieces that byte-pair merges stay within, by GPT-2's pattern (Radford et al. 2019): words with the blank before them,
 * numbers, punctuation, blanks. None is longer than 48 characters, so that no text makes learning or encoding slow.
 */
const pattern = /'(?:s|t|re|ve|m|ll|d)| ?\p{L}{1,48}| ?\p{N}{1,48}| ?[^\s\p{L}\p{N}]{1,48}|\s{1,48}(?!\S)|\s{1,48}/gu;

/** As far as the pattern looks ahead, in UTF-16 units. */
const lookahead = 128;

export const piecesOf = (text: string): string[] => text.match(pattern) ?? [];

/** The piece as a string of its own: V8 keeps the whole text alive for one that was cut out of it. */
export const cutLoose = (piece: string): string => Buffer.from(piece, 'utf16le').toString('utf16le');

/** Cuts text that comes in parts into the same stretches of pieces, wherever the parts end. */
export function createCutter(): { add(part: string): string; rest(): string } {
  let kept = '';
  return {
    add(part) {
      const text = kept + part;
      const end = lastWordEnd(text) || lastSettled(text);
      kept = text.slice(end);
      return text.slice(0, end);
    },
    rest() {
      const last = kept;
      kept = '';
      return last;
    },
  };
}

/** Before a blank that follows none a piece always ends, whatever stands around; 0 where there is no such place. */
function lastWordEnd(text: string): number {
  for (let at = text.length - 1; at > 0 && at > text.length - 1000; at--) {
    if (isBlank(text[at]!) && !isBlank(text[at - 1]!)) return at;
  }
  return 0;
}

const isBlank = (character: string) => /\s/.test(character);

/** The end of the last piece that lies further from the end than the pattern looks. */
function lastSettled(text: string): number {
  let end = 0;
  for (const { index, 0: piece } of text.matchAll(pattern)) {
    if (index + piece.length > text.length - lookahead) break;
    end = index + piece.length;
  }
  return end;
}
