import { eachWindow, sampleWindows } from '@modelmill/data';
import type { TokenRange, TokenStream, TokenWindows } from '@modelmill/data';
import { partOf } from './examples.js';
import type { Examples, Lesson } from './examples.js';

export interface TextExamplesOptions {
  readonly tokens: TokenStream;
  readonly ranges: { readonly train: TokenRange; readonly validation: TokenRange; readonly test: TokenRange };
  readonly batchSize: number;
  /** Tokens of a window. */
  readonly context: number;
  readonly seed: bigint;
  /** Tokens in the vocabulary. */
  readonly vocabulary: number;
}

/** Probabilities an evaluation computes at once: one per place and token. */
const mostProbabilities = 2 ** 20;

/** Windows of a text drawn at random, each to be continued token by token. */
export function textExamples(options: TextExamplesOptions): Examples {
  const { tokens, ranges, batchSize, context, seed, vocabulary } = options;
  const lengthOf = ({ start, end }: TokenRange) => end - start;
  const lesson = ({ inputs, targets, size }: TokenWindows): Lesson => ({
    features: { dims: [size, context], data: BigInt64Array.from(inputs, BigInt) },
    targets: Float32Array.from(targets),
    targetTensor: { dims: [size, context], data: BigInt64Array.from(targets, BigInt) },
    size,
  });
  return {
    stepsPerEpoch: Math.max(1, Math.floor(lengthOf(ranges.train) / (batchSize * context))),
    // a text is seldom gone through once, so steps count and not epochs
    stepsOf: () => 2_000,
    evaluateEvery: 250,
    at: (step) => lesson(sampleWindows(tokens, ranges.train, { batchSize, context, seed, step })),
    *heldOut(part) {
      const range = partOf(part, ranges, (of) => Math.max(0, lengthOf(of) - context));
      const size = Math.max(1, Math.floor(mostProbabilities / (context * vocabulary)));
      for (const windows of eachWindow(tokens, range, { batchSize: size, context })) yield lesson(windows);
    },
  };
}
