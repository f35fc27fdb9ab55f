const mostCharacters = 80;
const mostSizes = 16;

const clipped = (name: string) => (name.length > mostCharacters ? `${name.slice(0, mostCharacters)}…` : name);

/** A name for a message: one that came with a hostile file must not fill the answer. */
export const quoted = (name: string): string => `'${clipped(name)}'`;

/** Sizes for a message, cut short likewise. */
export function sizes(list: readonly (number | string | undefined)[]): string {
  const shown = list.slice(0, mostSizes).map((size) => (typeof size === 'string' ? clipped(size) : (size ?? '?')));
  return `[${shown.join(', ')}${list.length > mostSizes ? ', …' : ''}]`;
}
