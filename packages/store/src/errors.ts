/** What was asked for is not there. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
}

/** What was to be made exists with other content. */
export class AlreadyExistsError extends Error {
  override readonly name = 'AlreadyExistsError';
}

/** The present state forbids it: the version is not admitted, or a label points at it. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
}

/** A name that could not become a subject token or a key. */
export class InvalidNameError extends Error {
  override readonly name = 'InvalidNameError';
  constructor(what: string, got: string, wanted: string) {
    super(`${what} is '${shortened(got)}', wants ${wanted}`);
  }
}

/** A label without targets, with one twice, or with a weight of 0. */
export class InvalidLabelError extends Error {
  override readonly name = 'InvalidLabelError';
}

/** Bytes are not those their sha256 names. */
export class DigestMismatchError extends Error {
  override readonly name = 'DigestMismatchError';
  constructor(
    readonly got: string,
    readonly wanted: string,
  ) {
    super(`the content's sha256 is ${got}, wanted ${shortened(wanted)}`);
  }
}

/** NATS could not be reached in time. Whether a write happened is unknown; repeating it is safe. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
  /** Its reader has to start NATS: a stack would not help. */
  readonly startup = true;
}

/** NATS has no room for more. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
}

/** Another worker owns the job, or it has ended: whatever this worker still does must not count. */
export class JobLostError extends Error {
  override readonly name = 'JobLostError';
  constructor(readonly jobId: string) {
    super(`job '${jobId}' is no longer this worker's`);
  }
}

/** Thrown by a job's handler: the job fails at once, with this reason, and is not tried again. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';
}

const shortened = (text: string) => (text.length <= 80 ? text : `${text.slice(0, 80)}…`);
