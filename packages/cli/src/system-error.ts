/** The code of a system error, such as `ENOENT`; nothing for anything else. */
export function errorCode(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}

/** What an error says, in one line. */
export function errorMessage(error: unknown): string {
  const said = typeof error === 'object' && error !== null && 'message' in error ? error.message : error;
  return String(said).replaceAll(/\s*\n\s*/g, ' ');
}
