/** Two tokens that become one. */
export type Merge = readonly [number, number];

export const pairKey = (left: number, right: number) => left * 65_536 + right;

/** The tokens with every `left` before a `right` made one. */
export function merged(tokens: readonly number[], left: number, right: number, made: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const fits = tokens[i] === left && tokens[i + 1] === right;
    result.push(fits ? made : tokens[i]!);
    if (fits) i++;
  }
  return result;
}
