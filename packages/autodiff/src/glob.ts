/** Whether a name fits a glob: `*` is any run of characters, `?` any one, all others themselves. */
export function fitsGlob(name: string, glob: string): boolean {
  const escaped = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${escaped}$`, 's').test(name);
}
