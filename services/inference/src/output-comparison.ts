import { setImmediate as nextTurn } from 'node:timers/promises';
import { serving } from '@modelmill/contracts';
import { elementBytes } from '@modelmill/runtime';
import type { TensorData } from '@modelmill/runtime';
import { floatValues } from './float-values.js';
import type { FloatValues } from './float-values.js';

/** One output as it was answered and as a shadow gives it, over many requests. */
export interface OutputComparison {
  /** Adds one request, in slices: others are answered between them. `batched`: the first axis counts independent rows. */
  add(answered: TensorData, shadow: TensorData | undefined, batched: boolean): Promise<void>;
  message(): serving.OutputComparison;
}

/** Takes about a tenth of a millisecond. */
const sliceElements = 2 ** 16;
/** As long as that takes a slice of strings, where each counts its bytes and so many more. */
const sliceBytes = 2 ** 16;
const perString = 64;

export function createOutputComparison(name: string): OutputComparison {
  const counts = serving.OutputComparison.fromPartial({ name });
  const plus = (field: 'elements' | 'equalElements' | 'unlikeElements' | 'rows' | 'agreeingRows', by: number) =>
    void (counts[field] += BigInt(by));
  let squares = 0;
  let answeredSquares = 0;

  function addFloats(answered: FloatValues, shadow: FloatValues) {
    let equal = 0;
    let unlike = 0;
    for (let i = 0; i < answered.length; i++) {
      const a = answered[i]!;
      const b = shadow[i]!;
      const difference = a === b || (Number.isNaN(a) && Number.isNaN(b)) ? 0 : Math.abs(a - b);
      if (difference === 0) equal++;
      if (!Number.isFinite(difference)) unlike++;
      else if (Number.isFinite(a)) {
        if (difference > counts.maxDifference) counts.maxDifference = difference;
        squares += difference ** 2;
        answeredSquares += a ** 2;
      }
    }
    plus('equalElements', equal);
    plus('unlikeElements', unlike);
  }

  function addRows(answered: FloatValues, shadow: FloatValues, width: number) {
    const rows = answered.length / width;
    let agreeing = 0;
    for (let row = 0; row < rows; row++) if (largest(answered, row, width) === largest(shadow, row, width)) agreeing++;
    plus('rows', rows);
    plus('agreeingRows', agreeing);
  }

  function addSlice(answered: Slice, shadow: Slice, width: number) {
    const [ours, theirs] = [floatValues(answered), floatValues(shadow)];
    if (ours === undefined || theirs === undefined) return plus('equalElements', equalIn(answered, shadow));
    addFloats(ours, theirs);
    if (width > 0) addRows(ours, theirs, width);
  }

  return {
    async add(answered, shadow, batched) {
      const { datatype, shape, data } = answered;
      counts.datatype = datatype;
      if (shadow === undefined) return void counts.missing++;
      if (shadow.datatype !== datatype) return void counts.otherDatatype++;
      if (shadow.shape.join() !== shape.join()) return void counts.otherShape++;
      counts.compared++;
      const elements = shape.reduce((product, size) => product * size, 1);
      plus('elements', elements);
      await nextTurn();
      if (elementBytes(datatype) === 0) {
        for (const equal of equalStrings(data, shadow.data)) {
          plus('equalElements', equal);
          await nextTurn();
        }
        return;
      }
      const width = scoresIn(shape, batched);
      const step = width === 0 ? sliceElements : width * Math.max(1, Math.floor(sliceElements / width));
      for (let at = 0; at < elements; at += step) {
        if (at > 0) await nextTurn();
        addSlice(sliceOf(answered, at, at + step), sliceOf(shadow, at, at + step), width);
      }
    },
    message() {
      const measured = Number(counts.elements - counts.unlikeElements);
      const rms = (sum: number) => (measured === 0 ? 0 : Math.sqrt(sum / measured));
      return { ...counts, rmsDifference: rms(squares), rmsAnswered: rms(answeredSquares) };
    },
  };
}

/** Elements of fixed size of a tensor, without its shape. */
type Slice = Pick<TensorData, 'datatype' | 'data'>;

function sliceOf({ datatype, data }: TensorData, from: number, to: number): Slice {
  const size = elementBytes(datatype)!;
  return { datatype, data: data.subarray(from * size, to * size) };
}

/** How many scores a row has: the last axis, where it is no axis of rows and has a choice; else 0. */
function scoresIn(shape: readonly number[], batched: boolean): number {
  const width = shape.length > (batched ? 1 : 0) ? shape.at(-1)! : 0;
  return width >= 2 ? width : 0;
}

/** The place of a row's largest element, the first of several; what is no number is never the largest. */
function largest(values: FloatValues, row: number, width: number): number {
  let best = 0;
  let most = -Infinity;
  for (let i = 0; i < width; i++) {
    const value = values[row * width + i]!;
    if (value > most) {
      best = i;
      most = value;
    }
  }
  return best;
}

function equalIn({ datatype, data }: Slice, other: Slice): number {
  const size = elementBytes(datatype)!;
  if (Buffer.compare(data, other.data) === 0) return data.byteLength / size;
  let equal = 0;
  for (let at = 0; at < data.byteLength; at += size) {
    let same = true;
    for (let byte = at; byte < at + size; byte++) same &&= data[byte] === other.data[byte];
    if (same) equal++;
  }
  return equal;
}

/** How many are equal, slice by slice. One string is never parted: 64 MiB of one take some milliseconds. */
function* equalStrings(data: Uint8Array, other: Uint8Array): Generator<number> {
  const [ours, theirs] = [bufferOf(data), bufferOf(other)];
  let [at, otherAt, equal, work] = [0, 0, 0, 0];
  while (at < ours.length && otherAt < theirs.length) {
    const end = at + 4 + ours.readUInt32LE(at);
    const otherEnd = otherAt + 4 + theirs.readUInt32LE(otherAt);
    if (end - at === otherEnd - otherAt && ours.compare(theirs, otherAt, otherEnd, at, end) === 0) equal++;
    work += perString + end - at;
    [at, otherAt] = [end, otherEnd];
    if (work < sliceBytes) continue;
    yield equal;
    [equal, work] = [0, 0];
  }
  yield equal;
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => Buffer.from(buffer, byteOffset, byteLength);
