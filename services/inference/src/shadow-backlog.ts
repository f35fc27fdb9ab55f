import type { inference } from '@modelmill/contracts';
import type { Tensors } from './batch.js';

/** A request that was answered, and waits for the shadow. */
export interface Answered {
  readonly request: inference.ModelInferRequest;
  readonly outputs: Tensors;
  /** Whether the first axis counts independent rows. */
  readonly batched: boolean;
  readonly answerMs: number;
  readonly executionMs: number;
}

/** Answered requests, no more of them than may be kept. */
export interface ShadowBacklog {
  /** False where it is full. */
  add(answered: Answered): boolean;
  /** The first one, and those behind it of the same shapes up to so many rows: they can run together. */
  take(rows: number): Answered[];
  size(): number;
  /** Those that waited. */
  clear(): number;
}

const most = 256;
const mostBytes = 2 ** 26;

export function createShadowBacklog(): ShadowBacklog {
  let waiting: Answered[] = [];
  let bytes = 0;
  return {
    add(answered) {
      const more = bytesOf(answered);
      if (waiting.length >= most || (waiting.length > 0 && bytes + more > mostBytes)) return false;
      waiting.push(answered);
      bytes += more;
      return true;
    },
    take(rows) {
      const first = waiting[0];
      if (first === undefined) return [];
      const shapes = shapesOf(first);
      let count = 0;
      for (let sum = 0; count < waiting.length; count++) {
        const next = waiting[count]!;
        sum += rowsOf(next);
        if (count > 0 && (sum > rows || shapesOf(next) !== shapes)) break;
      }
      const taken = waiting.splice(0, count);
      for (const answered of taken) bytes -= bytesOf(answered);
      return taken;
    },
    size: () => waiting.length,
    clear() {
      const { length } = waiting;
      waiting = [];
      bytes = 0;
      return length;
    },
  };
}

const rowsOf = ({ request: { inputs }, batched }: Answered) => (batched ? Number(inputs[0]?.shape[0] ?? 1n) : 1);

const shapesOf = ({ request: { inputs } }: Answered) =>
  inputs.map(({ name, shape }) => `${name}:${shape.slice(1)}`).join(';');

/** Typed contents take about eight bytes an element here; outputs keep the whole of what ran together in memory. */
function bytesOf({ request: { inputs, rawInputContents }, outputs }: Answered): number {
  let bytes = 0;
  for (const { byteLength } of rawInputContents) bytes += byteLength;
  if (rawInputContents.length === 0) {
    for (const { shape } of inputs) bytes += 8 * shape.reduce((product, size) => product * Number(size), 1);
  }
  for (const { data } of outputs.values()) bytes += data.buffer.byteLength;
  return bytes;
}
