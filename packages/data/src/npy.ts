import { stat } from 'node:fs/promises';
import { checkSecondStart, openBinary } from './binary-content.js';
import type { BinaryContent } from './binary-content.js';
import { checkSize } from './idx.js';
import { npyTypes, readNpyHeader } from './npy-header.js';
import type { NpyHeader } from './npy-header.js';
import { createPairReader } from './pair-table.js';
import { openScratchFile } from './scratch-file.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';
import { createTargetReader } from './target-column.js';

/** A features file followed by a targets file, each gzip or not: arrays [rows, …] and [rows] as numpy.save writes them. */
export interface NpyFormat {
  readonly kind: 'npy';
  /** Bytes of the features file; the targets file starts there. */
  readonly featuresBytes: number;
}

const blockBytes = 2 ** 20;

/** Targets of an integer type are classes where they are few, those of a floating type are numbers. */
export async function readNpy(path: string, { featuresBytes }: NpyFormat, limits: TableLimits): Promise<Table> {
  checkSecondStart('features_bytes', featuresBytes, (await stat(path)).size);
  await using features = await openBinary(path, { start: 0, end: featuresBytes - 1 }, 'features', limits);
  await using targets = await openBinary(path, { start: featuresBytes }, 'targets', limits);
  const header = await readNpyHeader(features, 'features');
  const [rows = 0, ...axes] = header.shape;
  const featureShape = axes.length === 0 ? [1] : axes;
  checkSize(rows, featureShape, limits);
  const targetHeader = await readNpyHeader(targets, 'targets');
  const { shape } = targetHeader;
  if (shape[0] !== rows || shape.slice(1).some((size) => size !== 1)) {
    throw new DatasetError(`targets: got [${shape.join(', ')}], wanted [${rows}], one for each row of features`);
  }

  const reader = createPairReader({ rows, featureShape, target: 'target', limits });
  try {
    const record = new Float32Array(reader.width);
    let row = 0;
    for await (const block of blocksOf(features, header, { rows, featureShape })) {
      for (let at = 0; at < block.length; at += reader.width) {
        row++;
        for (let i = 0; i < reader.width; i++) record[i] = finite(block[at + i]!, 'features', row, i);
        reader.add(record);
      }
    }
    await features.end();
    const read = await readTargets(targets, targetHeader, rows, limits);
    await targets.end();
    return reader.finish(read.values, read.classes);
  } catch (error) {
    reader[Symbol.dispose]();
    throw error;
  }
}

function finite(value: number, what: string, row: number, at: number): number {
  if (Number.isFinite(Math.fround(value))) return value;
  throw new DatasetError(`${what}: row ${row}, element ${at + 1}: got ${value}, wanted a number that float32 holds`);
}

async function readTargets(
  content: BinaryContent,
  header: NpyHeader,
  rows: number,
  limits: TableLimits,
): Promise<{ values: Float32Array; classes: string[] | undefined }> {
  const values = new Float32Array(rows);
  const isInteger = !header.type.startsWith('f');
  const labels = createTargetReader('target', limits);
  let row = 0;
  for await (const block of blocksOf(content, { ...header, isFortran: false }, { rows, featureShape: [] })) {
    for (const element of block) {
      const value = finite(element, 'targets', row + 1, 0);
      values[row] = isInteger ? labels.keep(String(value), row)! : value;
      row++;
    }
  }
  if (!isInteger) return { values, classes: undefined };
  const { classes, of } = labels.finish();
  return { values: values.map((kept, at) => of(at, kept)), classes };
}

interface Shape {
  readonly rows: number;
  readonly featureShape: readonly number[];
}

/** The elements, row by row, some rows at a time. */
async function* blocksOf(content: BinaryContent, header: NpyHeader, shape: Shape): AsyncGenerator<Float64Array> {
  const width = shape.featureShape.reduce((product, size) => product * size, 1);
  if (header.isFortran) return yield* turned(content, header, shape, width);
  const { bytes } = npyTypes[header.type];
  const step = Math.max(1, Math.floor(blockBytes / (bytes * width)));
  for (let row = 0; row < shape.rows; row += step) {
    const count = Math.min(step, shape.rows - row) * width;
    yield elementsIn(await content.take(count * bytes), header);
  }
}

/** Elements whose first axis runs fastest: put down as they come, then gathered by rows. */
async function* turned(
  content: BinaryContent,
  header: NpyHeader,
  { rows, featureShape }: Shape,
  width: number,
): AsyncGenerator<Float64Array> {
  const { bytes } = npyTypes[header.type];
  using file = openScratchFile();
  for (let left = rows * width * bytes; left > 0;) {
    const part = await content.take(Math.min(left, blockBytes));
    file.append(part);
    left -= part.length;
  }
  const places = fortranPlaces(featureShape);
  const step = Math.max(1, Math.min(rows, Math.floor((16 * blockBytes) / (8 * width))));
  const column = Buffer.alloc(step * bytes);
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const block = new Float64Array(count * width);
    for (let i = 0; i < width; i++) {
      const some = column.subarray(0, count * bytes);
      file.read((places[i]! * rows + row) * bytes, some);
      elementsIn(some, header).forEach((value, k) => (block[k * width + i] = value));
    }
    yield block;
  }
}

/** Where each element of an example lies when the first axis runs fastest. */
function fortranPlaces(shape: readonly number[]): Uint32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  return Uint32Array.from({ length: count }, (_, index) => {
    let place = 0;
    let rest = index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const stride = shape.slice(0, axis).reduce((product, size) => product * size, 1);
      place += (rest % shape[axis]!) * stride;
      rest = Math.floor(rest / shape[axis]!);
    }
    return place;
  });
}

function elementsIn(data: Buffer, { type, isLittleEndian }: NpyHeader): Float64Array {
  const { bytes, read } = npyTypes[type];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const elements = new Float64Array(data.byteLength / bytes);
  for (let i = 0; i < elements.length; i++) elements[i] = read(view, i * bytes, isLittleEndian);
  return elements;
}
