import * as op from './ops.js';
import type { Cell, Step } from './recurrent-cells.js';
import type { Shortcut, Value } from './value.js';

/**
 * What one direction of a recurrent operator starts from; `hidden` units, `block` gates of a product with the state.
 * Examples lie along the last axis, so that the gates of a step are parted and joined in whole pieces of memory.
 */
export interface RecurrenceInputs {
  /** Per block, piece by piece of the sequence, [block · hidden, steps · batch]: the inputs' part of the gates, biases included. */
  readonly projected: readonly (readonly Value[])[];
  /** Per block [block · hidden, hidden]. */
  readonly recurrent: readonly Value[];
  /** Added to the last block's product with the state: [hidden, 1]. */
  readonly bias: Value | undefined;
  /** [hidden, batch]. */
  readonly h: Value;
  /** LSTM: [hidden, batch]. */
  readonly c: Value | undefined;
}

/** States after every step, [time · batch, hidden], and after the last, [hidden, batch]. */
export interface RecurrenceOutputs {
  readonly all: Value;
  readonly h: Value;
  readonly c: Value | undefined;
}

/**
 * Columns of a piece. In rows as long as a sequence, each example of each step would be far from the next row's: the
 * processor's cache holds no such rows. Of wider cells the products outweigh that, and their gradients are dear to add up.
 */
const columnsOfPiece = 256;
const widestInPieces = 256;

/** The steps of each piece of a sequence. */
export function piecesOf(time: number, batch: number, hidden: number): readonly number[] {
  const steps = hidden > widestInPieces ? time : Math.max(1, Math.floor(columnsOfPiece / batch));
  return Array.from({ length: Math.ceil(time / steps) }, (_, i) => Math.min(steps, time - i * steps));
}

/**
 * A cell applied step after step, and its gradient: back through the steps only what has to be in order, then one product
 * over all steps of a piece for each matrix (Appleyard, Kočiský and Blunsom 2016, https://arxiv.org/abs/1604.01946).
 */
export function recurrence(
  cell: Cell,
  inputs: RecurrenceInputs,
  pieces: readonly number[],
  reverse: boolean,
): RecurrenceOutputs {
  const batch = inputs.h.shape[1]!;
  const columns = pieces.map((steps) => steps * batch);
  const inTime = (list: readonly Value[]) => (reverse ? [...list].reverse() : list);
  const byStep = (parts: readonly Value[]) =>
    inTime(parts.flatMap((part, i) => op.parted(part, Array<number>(pieces[i]!).fill(batch), 1)));
  const byPiece = (list: readonly Value[]) => {
    const left = [...inTime(list)];
    return pieces.map((steps) => op.concat(left.splice(0, steps), 1));
  };

  const gates = inputs.projected.map(byStep);
  const turned = inputs.recurrent.map(op.transposeLast);
  const steps: Step[] = [];
  let state: Pick<Step, 'h' | 'c'> = inputs;
  for (const t of gates[0]!.keys()) {
    const step = cell.step({ ...inputs, ...state, turned, projected: gates.map((of) => of[t]!) });
    steps.push(step);
    state = step;
  }
  const { h, c } = state;
  const all = op.concat(byPiece(steps.map((step) => step.h)).map(op.transposeLast), 0);

  const outputs = [all, h, ...(c ? [c] : [])];
  const { recurrent, bias } = inputs;
  const projected = inputs.projected.flat();
  const shortcut: Shortcut = {
    operands: [...projected, ...recurrent, ...(bias ? [bias] : []), inputs.h, ...(inputs.c ? [inputs.c] : [])],
    outputs,
    gradients(_, [toAll, toLast, toLastCell]) {
      const arriving = toAll && byStep(op.parted(toAll, columns, 0).map(op.transposeLast));
      let toH = sumOf(arriving?.at(-1), toLast) ?? op.zeros(h.shape);
      let toC = toLastCell;
      const back = steps.map((step, t) => ({ step, outside: t === 0 ? undefined : arriving?.[t - 1] })).reverse();
      const found = back.map(({ step, outside }) => {
        const gradient = step.back(toH, toC, outside);
        ({ h: toH, c: toC } = gradient);
        return gradient;
      });
      found.reverse();
      const toProjected = inputs.projected.map((_, block) => byPiece(found.map((of) => of.projected[block]!)));
      const toProducts = recurrent.map((_, block) => byPiece(found.map((of) => of.products[block]!)));
      return [
        ...toProjected.flat().map((part) => () => part),
        ...recurrent.map((_, block) => () => {
          const factors = byPiece(steps.map(({ operands }) => operands[block]!));
          return toProducts[block]!.map((part, i) => op.gemm(part, factors[i]!, false, true)).reduce(op.add);
        }),
        ...(bias
          ? [
              () =>
                toProducts
                  .at(-1)!
                  .map((part) => op.reduceSum(part, [1], true))
                  .reduce(op.add),
            ]
          : []),
        () => toH,
        ...(toC ? [() => toC!] : []),
      ];
    },
  };
  for (const output of outputs) output.shortcut = shortcut;
  return { all, h, c };
}

const sumOf = (a: Value | undefined, b: Value | undefined) => (a && b ? op.add(a, b) : (a ?? b));
