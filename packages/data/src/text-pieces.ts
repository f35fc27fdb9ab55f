/**
 * Pieces that byte-pair merges stay within, by GPT-2's pattern (Radford et al. 2019): words with the blank before them,
 * numbers, punctuation, blanks. None is longer than 48 characters, so that no text makes learning or encoding slow.
 */
const pattern = /'(?:s|t|re|ve|m|ll|d)| ?\p{L}{1,48}| ?\p{N}{1,48}| ?[^\s\p{L}\p{N}]{1,48}|\s{1,48}(?!\S)|\s{1,48}/gu;

/** As far as the pattern looks ahead, in UTF-16 units. */
const lookahead = 128;

export const piecesOf = (text: string): string[] => text.match(pattern) ?? [];

/** Cuts text that comes in parts into the same stretches of pieces, wherever the parts end. */
export function createCutter(): { add(part: string): string; rest(): string } {
  let kept = '';
  return {
    add(part) {
      const text = kept + part;
      let end = 0;
      // what lies further from the end than the pattern looks is settled
      for (const { index, 0: piece } of text.matchAll(pattern)) {
        if (index + piece.length > text.length - lookahead) break;
        end = index + piece.length;
      }
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
