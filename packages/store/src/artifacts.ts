export interface ArtifactRef {
  /** Lower-case hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Bytes named by their sha256. A missing one throws NotFoundError, a damaged one DigestMismatchError. */
export interface Artifacts {
  /** Leaves nothing behind when the source breaks off or is not what `expectedSha256` says. */
  put(source: Uint8Array | AsyncIterable<Uint8Array>, expectedSha256?: string): Promise<ArtifactRef>;
  /** Where it lies, verified now. */
  path(sha256: string): Promise<string>;
  read(sha256: string): Promise<Uint8Array>;
  /** Pieces of at most 1 MiB, verified before the first. */
  stream(sha256: string): AsyncIterable<Uint8Array>;
  has(sha256: string): Promise<boolean>;
  remove(sha256: string): Promise<void>;
}
