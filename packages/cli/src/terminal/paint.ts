/** Colours as functions; where there is no colour they return the text as it is. */
export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  green(text: string): string;
  red(text: string): string;
  cyan(text: string): string;
}

export function createPaint(colours: boolean): Paint {
  const code = (open: number, close: number) => (text: string) =>
    colours ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: code(1, 22), dim: code(2, 22), green: code(32, 39), red: code(31, 39), cyan: code(36, 39) };
}

const escapes = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, 'g');

/** Columns a text takes, colours not counted. */
export const widthOf = (text: string) => [...text.replace(escapes, '')].length;

/** The text cut to a number of columns, colours kept whole. */
export function fit(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let left = columns - 1;
  const cut = text.replace(
    new RegExp(`(${escapes.source})|(.)`, 'gsu'),
    (_, escape: string | undefined, letter: string) => escape ?? (left-- > 0 ? letter : ''),
  );
  return `${cut}…`;
}
