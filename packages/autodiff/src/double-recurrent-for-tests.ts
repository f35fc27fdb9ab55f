import { sizeOf } from './double-kernel-for-tests.js';
import type { Kernel, KernelQuestion, Numbers } from './double-kernel-for-tests.js';

/** One direction's matrices, as rows of one gate after the other, and its biases. */
interface Direction {
  readonly hidden: number;
  /** Of a row of gates: W · x + its bias, and R · h + its bias. */
  ofInput(row: number, x: Float64Array): number;
  ofState(row: number, h: Float64Array): number;
}

interface State {
  readonly h: Float64Array;
  readonly c: Float64Array;
}

/** The state after a step, of one example: the operator's equations. */
type Equations = (direction: Direction, x: Float64Array, before: State, question: KernelQuestion) => State;

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

function perUnit(hidden: number, of: (unit: number) => number): Float64Array {
  const values = new Float64Array(hidden);
  for (let unit = 0; unit < hidden; unit++) values[unit] = of(unit);
  return values;
}

const lstm: Equations = ({ hidden, ofInput, ofState }, x, { h, c }) => {
  const gate = (index: number, unit: number) => {
    const row = index * hidden + unit;
    return ofInput(row, x) + ofState(row, h);
  };
  const cell = perUnit(
    hidden,
    (unit) => sigmoid(gate(2, unit)) * c[unit]! + sigmoid(gate(0, unit)) * Math.tanh(gate(3, unit)),
  );
  return { c: cell, h: perUnit(hidden, (unit) => sigmoid(gate(1, unit)) * Math.tanh(cell[unit]!)) };
};

const gru: Equations = ({ hidden, ofInput, ofState }, x, { h, c }, { int }) => {
  const open = (index: number, unit: number) => {
    const row = index * hidden + unit;
    return sigmoid(ofInput(row, x) + ofState(row, h));
  };
  const reset = perUnit(hidden, (unit) => open(1, unit));
  const past = h.map((value, unit) => value * reset[unit]!);
  const made = perUnit(hidden, (unit) => {
    const row = 2 * hidden + unit;
    const ofPast = int('linear_before_reset', 0) === 0 ? ofState(row, past) : reset[unit]! * ofState(row, h);
    return Math.tanh(ofInput(row, x) + ofPast);
  });
  const next = perUnit(hidden, (unit) => {
    const update = open(0, unit);
    return (1 - update) * made[unit]! + update * h[unit]!;
  });
  return { h: next, c };
};

const rnn: Equations = ({ hidden, ofInput, ofState }, x, { h, c }) => ({
  h: perUnit(hidden, (unit) => Math.tanh(ofInput(unit, x) + ofState(unit, h))),
  c,
});

const recurrent =
  (equations: Equations): Kernel =>
  (question) => {
    const [x, w, r, biases, , h, c] = question.x;
    const [time, batch, width] = x!.dims as [number, number, number];
    const [directions, rows, hidden] = r!.dims as [number, number, number];
    const way = question.word('direction', 'forward');
    const y = empty([time, directions, batch, hidden]);
    const zeros = empty([directions, batch, hidden]);
    const last = { h: empty([directions, batch, hidden]), c: empty([directions, batch, hidden]) };
    for (let d = 0; d < directions; d++) {
      const direction = directionOf({ w: w!, r: r!, biases }, { d, rows, width, hidden });
      const order = [...Array(time).keys()];
      if (way === 'reverse' || d === 1) order.reverse();
      for (let example = 0; example < batch; example++) {
        const own = (of: Numbers | undefined) => piece(of ?? zeros, d * batch + example, hidden);
        let state: State = { h: own(h), c: own(c) };
        for (const t of order) {
          state = equations(direction, piece(x!, t * batch + example, width), state, question);
          y.data.set(state.h, ((t * directions + d) * batch + example) * hidden);
        }
        last.h.data.set(state.h, (d * batch + example) * hidden);
        last.c.data.set(state.c, (d * batch + example) * hidden);
      }
    }
    return [y, last.h, last.c];
  };

const empty = (dims: readonly number[]): Numbers => ({ dims, data: new Float64Array(sizeOf(dims)) });

/** A row of so many numbers. */
const piece = ({ data }: Numbers, at: number, length: number) => data.subarray(at * length, (at + 1) * length);

function directionOf(
  { w, r, biases }: { w: Numbers; r: Numbers; biases: Numbers | undefined },
  { d, rows, width, hidden }: { d: number; rows: number; width: number; hidden: number },
): Direction {
  const product = ({ data }: Numbers, row: number, length: number, factor: Float64Array) => {
    const start = (d * rows + row) * length;
    let sum = 0;
    for (let i = 0; i < length; i++) sum += factor[i]! * data[start + i]!;
    return sum;
  };
  const bias = (row: number) => (biases ? biases.data[2 * d * rows + row]! : 0);
  return {
    hidden,
    ofInput: (row, x) => product(w, row, width, x) + bias(row),
    ofState: (row, h) => product(r, row, hidden, h) + bias(rows + row),
  };
}

/** ONNX's recurrent operators with their usual activations, sequences of one length. */
export const recurrentKernels: Readonly<Record<string, Kernel>> = {
  LSTM: recurrent(lstm),
  GRU: recurrent(gru),
  RNN: recurrent(rnn),
};
