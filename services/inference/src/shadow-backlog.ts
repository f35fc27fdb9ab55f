import type { inference } from '@modelmill/contracts';
import { roomBefore } from '@modelmill/runtime';
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
  /** False where it is full. Keeps the request's own outputs, not the memory of all that ran with it. */
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
  let waiting: { readonly answered: Answered; readonly bytes: number }[] = [];
  let bytes = 0;
  return {
    add(answered) {
      const more = bytesOf(answered);
      if (waiting.length >= most || (waiting.length > 0 && bytes + more > mostBytes)) return false;
      waiting.push({ answered: { ...answered, outputs: ownOf(answered.outputs) }, bytes: more });
      bytes += more;
      return true;
    },
    take(rows) {
      const first = waiting[0];
      if (first === undefined) return [];
      const shapes = shapesOf(first.answered);
      let count = 0;
      for (let sum = 0; count < waiting.length; count++) {
        const next = waiting[count]!.answered;
        sum += rowsOf(next);
        if (count > 0 && (sum > rows || shapesOf(next) !== shapes)) break;
      }
      const taken = waiting.splice(0, count);
      for (const { bytes: fewer } of taken) bytes -= fewer;
      return taken.map(({ answered }) => answered);
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

const ownOf = (outputs: Tensors): Tensors =>
  new Map(
    [...outputs].map(([name, output]) => {
      const { data } = output;
      const isPart = data.byteLength + roomBefore(data) < data.buffer.byteLength;
      return [name, isPart ? { ...output, data: new Uint8Array(data) } : output];
    }),
  );

function bytesOf({ request: { inputs, rawInputContents }, outputs }: Answered): number {
  let bytes = 0;
  for (const { byteLength } of rawInputContents) bytes += byteLength;
  for (const { contents } of inputs) {
    if (contents !== undefined) for (const values of Object.values(contents)) bytes += typedBytes(values);
  }
  for (const { data } of outputs.values()) bytes += data.byteLength;
  return bytes;
}

/** What an array of them takes here: numbers, whole numbers of 64 bits, or strings. */
function typedBytes(values: readonly (number | boolean | bigint | Uint8Array)[]): number {
  const [first] = values;
  if (typeof first === 'bigint') return 32 * values.length;
  let bytes = 8 * values.length;
  if (first instanceof Uint8Array) for (const text of values as readonly Uint8Array[]) bytes += 96 + text.byteLength;
  return bytes;
}
