/** The least and the greatest value of a tensor. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}
