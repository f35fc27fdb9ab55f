import { stat } from 'node:fs/promises';
import { checkSecondStart, openBinary } from './binary-content.js';
import type { BinaryContent } from './binary-content.js';
import { createPairReader } from './pair-table.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';

/** An images file followed by a labels file, each gzip or not (http://yann.lecun.com/exdb/mnist). */
export interface IdxFormat {
  readonly kind: 'idx';
  /** Bytes of the images file; the labels file starts there. */
  readonly imagesBytes: number;
}

export async function readIdx(path: string, { imagesBytes }: IdxFormat, limits: TableLimits): Promise<Table> {
  checkSecondStart('images_bytes', imagesBytes, (await stat(path)).size);
  await using images = await openBinary(path, { start: 0, end: imagesBytes - 1 }, 'images', limits);
  await using labels = await openBinary(path, { start: imagesBytes }, 'labels', limits);
  const [rows = 0, ...featureShape] = await readDims(images, 'images');
  const labelDims = await readDims(labels, 'labels');
  if (featureShape.length === 0) throw new DatasetError('images: got 1 axis, wanted at least 2');
  if (labelDims.length !== 1 || labelDims[0] !== rows) {
    throw new DatasetError(`labels: got [${labelDims.join(', ')}], wanted [${rows}], one for each image`);
  }
  checkSize(rows, featureShape, limits);

  const reader = createPairReader({ rows, featureShape, target: 'label', limits });
  try {
    const features = new Float32Array(reader.width);
    for (let row = 0; row < rows; row++) {
      features.set(await images.take(reader.width));
      reader.add(features);
    }
    await images.end();
    const targets = Float32Array.from(await labels.take(rows));
    await labels.end();
    const classes = targets.reduce((most, label) => Math.max(most, label), 0) + 1;
    return reader.finish(
      targets,
      Array.from({ length: classes }, (_, i) => String(i)),
    );
  } catch (error) {
    reader[Symbol.dispose]();
    throw error;
  }
}

/** Checks before anything is made of these sizes. */
export function checkSize(rows: number, featureShape: readonly number[], limits: TableLimits): void {
  if (rows === 0) throw new DatasetError('got 0 rows, wanted at least 1');
  if (rows > limits.rows) throw new DatasetError(`got ${rows} rows, wanted at most ${limits.rows}`);
  const width = featureShape.reduce((product, size) => product * size, 1);
  if (width < 1 || 4 * width > limits.rowBytes) {
    throw new DatasetError(`got [${featureShape.join(', ')}] features, wanted 1 to ${limits.rowBytes / 4} of them`);
  }
}

async function readDims(content: BinaryContent, what: string): Promise<number[]> {
  const [zeros, type, rank] = await content.take(4).then((head) => [head.readUInt16BE(0), head[2]!, head[3]!]);
  if (zeros !== 0) throw new DatasetError(`${what}: got ${zeros} at the start, wanted an IDX file`);
  if (type !== 0x08) throw new DatasetError(`${what}: got element type ${type}, wanted 8 (unsigned bytes)`);
  const dims = await content.take(4 * rank!);
  return Array.from({ length: rank! }, (_, axis) => dims.readUInt32BE(4 * axis));
}
