/**
 * Why a runner gave no result. Texts hold no path.
 * - `timeout`: the request ran longer than it may; its runner was killed
 * - `crashed`: the runner died while it executed this request
 * - `refused`: the runner cannot take it: not loaded, beyond a limit, closed
 * - `model`: ONNX Runtime refused the model or the request
 * - `cancelled`: the caller's signal, before it was executed
 */
export type RunnerErrorKind = 'timeout' | 'crashed' | 'refused' | 'model' | 'cancelled';

export class RunnerError extends Error {
  override readonly name = 'RunnerError';
  constructor(
    readonly kind: RunnerErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
