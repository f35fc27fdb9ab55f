/** What went wrong, in one line for the user; exit code 1. */
export class CliError extends Error {
  override readonly name: string = 'CliError';
}

/** How a command was called wrongly; exit code 2. */
export class UsageError extends CliError {
  override readonly name = 'UsageError';
}
