const [open, close, comma] = [0x5b, 0x5d, 0x2c] as const;

/** A flat JSON array of numbers, one at least, nested as the shape says: brackets go between its bytes. */
export function nestedText(flat: Buffer, shape: readonly number[]): string {
  if (shape.length === 0) return flat.toString('latin1', 1, flat.length - 1);
  if (shape.length === 1) return flat.toString('latin1');
  const sizes: number[] = []; // numbers in a list of the last axis, of the last two, …
  for (let axis = shape.length - 1; axis > 0; axis--) sizes.push((sizes.at(-1) ?? 1) * shape[axis]!);
  const count = sizes.at(-1)! * shape[0]!;
  const brackets = sizes.reduce((sum, size) => sum + (2 * count) / size, 0);
  const text = Buffer.allocUnsafe(flat.length + brackets);
  let numbers = 0;
  let at = shape.length;
  text.fill(open, 0, at);
  for (let from = 1; from < flat.length - 1; from++) {
    const byte = flat[from]!;
    if (byte === comma) {
      numbers++;
      let ended = 0;
      while (ended < sizes.length && numbers % sizes[ended]! === 0) ended++;
      for (let i = 0; i < ended; i++) text[at++] = close;
      text[at++] = comma;
      for (let i = 0; i < ended; i++) text[at++] = open;
    } else text[at++] = byte;
  }
  return text.fill(close, at).toString('latin1');
}
