import { counterRandom } from './counter-random.js';
import { checkShares } from './split.js';
import type { Splits } from './split.js';
import { DatasetError } from './table.js';
import type { TokenStream } from './token-stream.js';

/** Tokens `start` … `end − 1` of a stream. */
export interface TokenRange {
  readonly start: number;
  readonly end: number;
}

/** Stretches of text and, for each token, the one that follows it. */
export interface TokenWindows {
  /** [size, context]. */
  readonly inputs: Int32Array;
  /** [size, context]: the inputs' successors. */
  readonly targets: Int32Array;
  readonly size: number;
}

/** Text is dealt in one piece each, unshuffled: the first part to train on, then validation, then test. */
export function splitTokens(
  length: number,
  shares: Omit<Splits, 'seed'>,
): { train: TokenRange; validation: TokenRange; test: TokenRange } {
  checkShares(shares);
  const first = Math.round(length * shares.train);
  const second = shares.test === 0 ? length : Math.round(length * (shares.train + shares.validation));
  return {
    train: { start: 0, end: first },
    validation: { start: first, end: second },
    test: { start: second, end: length },
  };
}

const windowStream = 4;

/**
 * The windows of one step, drawn with repetition from everywhere in the range: a function of seed and step alone. Throws
 * DatasetError where the range holds no window.
 */
export function sampleWindows(
  stream: TokenStream,
  range: TokenRange,
  { batchSize, context, seed, step }: { batchSize: number; context: number; seed: bigint; step: number },
): TokenWindows {
  const starts = range.end - range.start - context;
  if (starts < 1) throw tooShort(range, context);
  // 48 bits each: 24 would not reach every place of a long text
  const drawn = counterRandom(seed, windowStream).uniform(step, 2 * batchSize);
  return tokenWindows(
    stream,
    Uint32Array.from(
      { length: batchSize },
      (_, i) => range.start + Math.floor((drawn[2 * i]! + drawn[2 * i + 1]! / 2 ** 24) * starts),
    ),
    context,
  );
}

/**
 * The range in windows that do not overlap, `batchSize` at a time and fewer in the last batch; what does not fill a window
 * is left out. Throws DatasetError where the range holds no window.
 */
export function* eachWindow(
  stream: TokenStream,
  range: TokenRange,
  { batchSize, context }: { batchSize: number; context: number },
): Generator<TokenWindows> {
  const starts = windowStarts(range, context);
  if (starts.length === 0) throw tooShort(range, context);
  for (let first = 0; first < starts.length; first += batchSize) {
    yield tokenWindows(stream, starts.subarray(first, first + batchSize), context);
  }
}

/** Where the windows of a range begin that do not overlap; what does not fill a window is left out. */
export const windowStarts = ({ start, end }: TokenRange, context: number): Uint32Array =>
  Uint32Array.from({ length: Math.max(0, Math.floor((end - start - 1) / context)) }, (_, i) => start + i * context);

/** The windows that begin at these tokens. */
export function tokenWindows(stream: TokenStream, starts: Uint32Array, context: number): TokenWindows {
  const size = starts.length;
  const inputs = new Int32Array(size * context);
  const targets = new Int32Array(size * context);
  const tokens = new Uint16Array(context + 1);
  starts.forEach((start, i) => {
    stream.read(start, tokens);
    inputs.set(tokens.subarray(0, context), i * context);
    targets.set(tokens.subarray(1), i * context);
  });
  return { inputs, targets, size };
}

const tooShort = ({ start, end }: TokenRange, context: number) =>
  new DatasetError(`the part has ${end - start} tokens, a window of ${context} and its successor wants ${context + 1}`);
