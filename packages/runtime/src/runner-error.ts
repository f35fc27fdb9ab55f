/**
 * Why a runner gave no result. Texts hold no path.
 * - `timeout`: the request executed longer than it may; its runner was killed
 * - `crashed`: the runner ended while it executed this request, or before
 * - `memory`: the request took more memory than its runner may hold; the runner was killed, unless an allocation failed
 * - `refused`: the runner cannot take it: not loaded, closed
 * - `model`: ONNX Runtime refused the model or the request
 * - `cancelled`: the caller's signal
 */
export type RunnerErrorKind = 'timeout' | 'crashed' | 'memory' | 'refused' | 'model' | 'cancelled';

export interface RunnerErrorOptions extends ErrorOptions {
  readonly innocent?: boolean;
  readonly killed?: boolean;
}

export class RunnerError extends Error {
  override readonly name = 'RunnerError';
  /** Whether the request had not begun to execute when its runner ended: it may be made again. */
  readonly innocent: boolean;
  /** Whether somebody else killed the runner: an operator, or a system out of memory. */
  readonly killed: boolean;
  constructor(
    readonly kind: RunnerErrorKind,
    message: string,
    options?: RunnerErrorOptions,
  ) {
    super(message, options);
    this.innocent = options?.innocent ?? false;
    this.killed = options?.killed ?? false;
  }
}
