import { TrainingFormError } from './errors.js';
import type { Reading } from './reading.js';
import * as op from './ops.js';
import { piecesOf, recurrence } from './recurrence.js';
import { cells } from './recurrent-cells.js';
import type { Cell } from './recurrent-cells.js';
import type { Shape, Value } from './value.js';

/** What ONNX's recurrent operators take by default, per direction. */
const activations = { LSTM: ['sigmoid', 'tanh', 'tanh'], GRU: ['sigmoid', 'tanh'], RNN: ['tanh'] } as const;
export type RecurrentOp = keyof typeof activations;

/** `sum` of the two biases is added to the inputs' part of the gates, `separate` to the last block's product. */
interface Biases {
  readonly projected: readonly (Value | undefined)[];
  readonly separate: Value | undefined;
}

/**
 * LSTM, GRU and RNN unrolled: Y, Y_h and, of an LSTM, Y_c. Throws TrainingFormError for variants that are not trained:
 * other activations, clip, coupled gates, peepholes, sequences of several lengths, and batch-major layout, which ONNX
 * Runtime could not serve.
 */
export const recurrentLowering =
  (opType: RecurrentOp) =>
  (reading: Reading): readonly Value[] => {
    refuseVariants(opType, reading);
    const [x, weights, recurrent, biases, , initialH, initialC] = reading.x;
    const [time, batch, width] = x!.shape as [number, number, number];
    const [directions, , hidden] = recurrent!.shape as [number, number, number];
    const cell = cellOf(opType, reading);
    const pieces = piecesOf(time, batch, hidden);
    const rows = op.parted(
      op.reshape(x!, [time * batch, width]),
      pieces.map((steps) => steps * batch),
      0,
    );
    const [weightsOf, recurrentOf, biasesOf, hOf, cOf] = [weights, recurrent, biases, initialH, initialC].map((value) =>
      byDirection(value, directions),
    );
    const reverse = word(reading, 'direction', 'forward') === 'reverse';
    const none = op.zeros([hidden, batch]);
    const ways = Array.from({ length: directions }, (_, way) => {
      const bias = biasesByBlock(cell, biasesOf![way], hidden);
      const inputs = {
        projected: byBlock(cell, weightsOf![way]!, hidden).map((block, i) =>
          rows.map((piece) => op.gemm(block, piece, false, true, 1, bias.projected[i])),
        ),
        recurrent: byBlock(cell, recurrentOf![way]!, hidden),
        bias: bias.separate,
        h: turned(hOf![way]) ?? none,
        c: opType === 'LSTM' ? (turned(cOf![way]) ?? none) : undefined,
      };
      return recurrence(cell, inputs, pieces, reverse || way === 1);
    });
    const joined = (values: readonly Value[], shape: Shape, axis: number) =>
      op.concat(
        values.map((value) => op.reshape(value, shape)),
        axis,
      );
    const last = [1, batch, hidden];
    const all = ways.map((way) => way.all);
    const h = ways.map((way) => way.h);
    const c = ways.flatMap((way) => way.c ?? []);
    const outputs = [joined(all, [time, 1, batch, hidden], 1), joined(h.map(op.transposeLast), last, 0)];
    return opType === 'LSTM' ? [...outputs, joined(c.map(op.transposeLast), last, 0)] : outputs;
  };

const turned = (value: Value | undefined) => value && op.transposeLast(value);

function cellOf(opType: RecurrentOp, { int }: Reading): Cell {
  if (opType !== 'GRU') return cells[opType];
  return cells[int('linear_before_reset', 0) === 0 ? 'GRU, reset before' : 'GRU, reset after'];
}

/** [directions, …] as one value per direction; undefined for what is left out. */
function byDirection(value: Value | undefined, directions: number): readonly (Value | undefined)[] {
  if (!value) return Array<undefined>(directions).fill(undefined);
  const ones = directions === 1 ? [value] : op.split(value, Array<number>(directions).fill(1), 0);
  return ones.map((one) => op.reshape(one, one.shape.slice(1)));
}

/** A matrix of all gates as one per block. */
function byBlock({ blocks }: Cell, value: Value, hidden: number): readonly Value[] {
  const rows = blocks.map((gates) => gates * hidden);
  return blocks.length === 1 ? [value] : op.split(value, rows, 0);
}

/** The biases of the inputs' gates, then of the state's, [2 · gates · hidden]. */
function biasesByBlock(cell: Cell, biases: Value | undefined, hidden: number): Biases {
  const { blocks, separateBias } = cell;
  if (!biases) return { projected: blocks.map(() => undefined), separate: undefined };
  const lengths = blocks.map((gates) => gates * hidden);
  const parts = op.split(op.reshape(biases, [biases.shape[0]!, 1]), [...lengths, ...lengths], 0);
  const last = blocks.length - 1;
  return {
    projected: blocks.map((_, i) =>
      separateBias && i === last ? parts[i] : op.add(parts[i]!, parts[blocks.length + i]!),
    ),
    separate: separateBias ? parts.at(-1) : undefined,
  };
}

function refuseVariants(opType: RecurrentOp, reading: Reading): void {
  const { node, x, int } = reading;
  const refuse = (what: string): never => {
    throw new TrainingFormError(`${opType} (node '${node.name}') has ${what}, which is not trained`);
  };
  const wanted = activations[opType];
  const named = node.attributes.get('activations');
  const got = named?.kind === 'strings' ? named.value : [];
  const other = got.find((name, i) => name.toLowerCase() !== wanted[i % wanted.length]);
  if (other !== undefined) refuse(`the activation ${other} where ${opType} has ${wanted.join(', ')}`);
  if (node.attributes.has('clip')) refuse('a clip');
  if (int('input_forget', 0) !== 0) refuse('coupled input and forget gates');
  if (int('layout', 0) !== 0) refuse('layout 1, batch before time');
  if (x[4]) refuse('sequence_lens, sequences of several lengths');
  if (x[7]) refuse('peepholes');
}

function word({ node }: Reading, name: string, otherwise: string): string {
  const found = node.attributes.get(name);
  return found?.kind === 'string' ? found.value : otherwise;
}
