/** A server does otherwise than a check wants: the message tells what was seen. */
export class FailedCheck extends Error {
  override readonly name = 'FailedCheck';
}
