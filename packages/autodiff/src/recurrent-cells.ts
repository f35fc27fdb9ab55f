import * as op from './ops.js';
import type { Value } from './value.js';

/** What a cell sees at one step; the state is [hidden, batch], the rest is RecurrenceInputs' of this step. */
export interface StepInputs {
  readonly projected: readonly Value[];
  readonly recurrent: readonly Value[];
  /** Transposed once: products back in time take them so. */
  readonly turned: readonly Value[];
  readonly bias: Value | undefined;
  readonly h: Value;
  readonly c: Value | undefined;
}

/** What a step leaves: the state, and what its gradient needs. */
export interface Step {
  readonly h: Value;
  readonly c: Value | undefined;
  /** Per block: what the recurrent matrix was multiplied by. */
  readonly operands: readonly Value[];
  /** `outside`: what reaches the state before this step from elsewhere. */
  back(toH: Value, toC: Value | undefined, outside: Value | undefined): StepGradient;
}

export interface StepGradient {
  /** Per block: of the projected inputs, and of the product with the recurrent matrix. */
  readonly projected: readonly Value[];
  readonly products: readonly Value[];
  /** Of the state before the step. */
  readonly h: Value;
  readonly c: Value | undefined;
}

export interface Cell {
  /** Gates per block, in ONNX's order. One product with the state makes the gates of a block. */
  readonly blocks: readonly number[];
  /** Whether the last block's recurrent bias is added to its product, and not to the inputs' part. */
  readonly separateBias: boolean;
  step(inputs: StepInputs): Step;
}

const { add, mul, sub, sigmoid, tanh } = op;

/** matrix · factor + offset. */
const product = (matrix: Value, factor: Value, offset: Value | undefined) =>
  op.gemm(matrix, factor, false, false, 1, offset);

/** x − x·y: the derivatives of sigmoid, s·(1 − s), and of tanh, 1 − t², in few operators. */
const less = (x: Value, y: Value) => sub(x, mul(x, y));

/** Hochreiter and Schmidhuber 1997; gates input, output, forget, cell. */
const lstm: Cell = {
  blocks: [4],
  separateBias: false,
  step({ projected: [x], recurrent: [r], turned: [back], h: before, c: cBefore }) {
    const width = before.shape[0]!;
    const [opening, candidate] = op.split(product(r!, before, x), [3 * width, width], 0);
    const open = sigmoid(opening!);
    const g = tanh(candidate!);
    const [i, o, f] = op.split(open, [width, width, width], 0);
    const c = add(mul(f!, cBefore!), mul(i!, g));
    const squashed = tanh(c);
    const h = mul(o!, squashed);
    return {
      h,
      c,
      operands: [before],
      back(toH, toC, outside) {
        const inner = mul(toH, sub(o!, mul(h, squashed)));
        const cell = toC ? add(inner, toC) : inner;
        const toG = mul(cell, i!);
        const toI = mul(toG, g);
        const toCBefore = mul(cell, f!);
        const toGates = op.concat([toI, mul(toH, h), mul(toCBefore, cBefore!), toG], 0);
        // sigmoid's derivative is s − s·s, tanh's 1 − g·g: one form for all gates
        const gates = less(toGates, op.concat([open, mul(g, g)], 0));
        return { projected: [gates], products: [gates], h: product(back!, gates, outside), c: toCBefore };
      },
    };
  },
};

/** Elman 1990. */
const rnn: Cell = {
  blocks: [1],
  separateBias: false,
  step({ projected: [x], recurrent: [r], turned: [back], h: before }) {
    const h = tanh(product(r!, before, x));
    return {
      h,
      c: undefined,
      operands: [before],
      back(toH, _, outside) {
        const gate = less(toH, mul(h, h));
        return { projected: [gate], products: [gate], h: product(back!, gate, outside), c: undefined };
      },
    };
  },
};

/** Cho et al. 2014; gates update and reset, then hidden. The reset comes before the product, or after it. */
const gru = (resetAfter: boolean): Cell => ({
  blocks: [2, 1],
  separateBias: resetAfter,
  step({ projected: [x, xHidden], recurrent: [r, rHidden], turned: [back, backHidden], bias, h: before }) {
    const width = before.shape[0]!;
    const open = sigmoid(product(r!, before, x));
    const [update, reset] = op.split(open, [width, width], 0);
    const factor = resetAfter ? before : mul(reset!, before);
    const made = product(rHidden!, factor, resetAfter ? bias : xHidden);
    const n = tanh(resetAfter ? add(xHidden!, mul(reset!, made)) : made);
    const kept = sub(before, n);
    const h = add(n, mul(update!, kept));
    return {
      h,
      c: undefined,
      operands: [before, factor],
      back(toH, _, outside) {
        const direct = mul(toH, update!);
        const hidden = less(sub(toH, direct), mul(n, n));
        const toMade = resetAfter ? mul(hidden, reset!) : hidden;
        const toFactor = resetAfter ? undefined : product(backHidden!, toMade, undefined);
        // the gradient of the reset, but for 1 − reset
        const toReset = toFactor ? mul(toFactor, factor) : mul(toMade, made);
        const gates = less(op.concat([mul(direct, kept), toReset], 0), open);
        const past = outside ? add(direct, outside) : direct;
        const through = toFactor ? add(past, mul(toFactor, reset!)) : product(backHidden!, toMade, past);
        return {
          projected: [gates, hidden],
          products: [gates, toMade],
          h: product(back!, gates, through),
          c: undefined,
        };
      },
    };
  },
});

export const cells = { LSTM: lstm, RNN: rnn, 'GRU, reset before': gru(false), 'GRU, reset after': gru(true) } as const;
