import * as op from './ops.js';
import type { Cell, Step } from './recurrent-cells.js';
import type { Shortcut, Value } from './value.js';

/**
 * What one direction of a recurrent operator starts from; `hidden` units, `block` gates of a product with the state.
 * Examples lie along the last axis, so that the gates of a step are parted and joined in whole pieces of memory.
 */
export interface RecurrenceInputs {
  /** Per block [block · hidden, time · batch]: the inputs' part of the gates, biases included. */
  readonly projected: readonly Value[];
  /** Per block [block · hidden, hidden]. */
  readonly recurrent: readonly Value[];
  /** Added to the last block's product with the state: [hidden, 1]. */
  readonly bias: Value | undefined;
  /** [hidden, batch]. */
  readonly h: Value;
  /** LSTM: [hidden, batch]. */
  readonly c: Value | undefined;
}

/** States after every step, [hidden, time · batch], and after the last, [hidden, batch]. */
export interface RecurrenceOutputs {
  readonly all: Value;
  readonly h: Value;
  readonly c: Value | undefined;
}

/**
 * A cell applied step after step, and its gradient: back through the steps only what has to be in order, then one product
 * over all steps for each matrix (Appleyard, Kočiský and Blunsom 2016, https://arxiv.org/abs/1604.01946).
 */
export function recurrence(cell: Cell, inputs: RecurrenceInputs, time: number, reverse: boolean): RecurrenceOutputs {
  const batch = inputs.h.shape[1]!;
  const inTime = (list: readonly Value[]) => (reverse ? [...list].reverse() : list);
  const byStep = (x: Value): readonly Value[] =>
    time === 1 ? [x] : inTime(op.split(x, Array<number>(time).fill(batch), 1));
  const stacked = (list: readonly Value[]) => op.concat(inTime(list), 1);

  const gates = inputs.projected.map(byStep);
  const turned = inputs.recurrent.map(op.transposeLast);
  const steps: Step[] = [];
  let state: Pick<Step, 'h' | 'c'> = inputs;
  for (let t = 0; t < time; t++) {
    const step = cell.step({ ...inputs, ...state, turned, projected: gates.map((of) => of[t]!) });
    steps.push(step);
    state = step;
  }
  const { h, c } = state;
  const all = time === 1 ? op.identity(h) : stacked(steps.map((step) => step.h));

  const outputs = [all, h, ...(c ? [c] : [])];
  const { projected, recurrent, bias } = inputs;
  const shortcut: Shortcut = {
    operands: [...projected, ...recurrent, ...(bias ? [bias] : []), inputs.h, ...(inputs.c ? [inputs.c] : [])],
    outputs,
    gradients(_, [toAll, toLast, toLastCell]) {
      const arriving = toAll && byStep(toAll);
      let toH = sumOf(arriving?.[time - 1], toLast) ?? op.zeros(h.shape);
      let toC = toLastCell;
      const back = steps.map((step, t) => ({ step, outside: t === 0 ? undefined : arriving?.[t - 1] })).reverse();
      const found = back.map(({ step, outside }) => {
        const gradient = step.back(toH, toC, outside);
        ({ h: toH, c: toC } = gradient);
        return gradient;
      });
      found.reverse();
      const toProducts = (block: number) => stacked(found.map((gradient) => gradient.products[block]!));
      return [
        ...projected.map((_, block) => () => stacked(found.map((gradient) => gradient.projected[block]!))),
        ...recurrent.map((_, block) => () => {
          const factors = stacked(steps.map(({ operands }) => operands[block]!));
          return op.gemm(toProducts(block), factors, false, true);
        }),
        ...(bias ? [() => toProducts(recurrent.length - 1)] : []),
        () => toH,
        ...(toC ? [() => toC!] : []),
      ];
    },
  };
  for (const output of outputs) output.shortcut = shortcut;
  return { all, h, c };
}

const sumOf = (a: Value | undefined, b: Value | undefined) => (a && b ? op.add(a, b) : (a ?? b));
