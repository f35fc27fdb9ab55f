/** Aborts on the first SIGTERM or SIGINT; the second one ends the process at once. */
export function shutdownSignal(): AbortSignal {
  const abort = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => (abort.signal.aborted ? process.exit(1) : abort.abort(name)));
  }
  return abort.signal;
}

/**
 * Runs a process: exit code 0 when `start` ends well. An error with `startup: true` is its user's to mend: one line
 * with its message, exit code 1. Any other error is a bug and shows its stack.
 */
export async function runMain(start: () => Promise<unknown>): Promise<never> {
  try {
    await start();
  } catch (error) {
    process.stderr.write(`${startupMessage(error) ?? stackOf(error)}\n`);
    process.exit(1);
  }
  process.exit(0);
}

function startupMessage(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // closing what was open failed, too (by name: Node 22 has no class for it)
  if (error.name === 'SuppressedError' && 'suppressed' in error) return startupMessage(error.suppressed);
  return 'startup' in error && error.startup === true ? error.message.replaceAll('\n', ' ') : undefined;
}

const stackOf = (error: unknown) => (error instanceof Error ? error.stack : undefined) ?? String(error);
