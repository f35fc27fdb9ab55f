/** One of each for the version on trial and for the label's other target. */
export interface Sides<T> {
  readonly trial: T;
  readonly other: T;
}

/** A bound that was broken. */
export interface Breach {
  /** In words with figures. */
  readonly reason: string;
  readonly data: object;
}
