import { stat } from 'node:fs/promises';
import { contentError, openContent } from './content.js';
import { DatasetError } from './table.js';
import type { Table, TableLimits } from './table.js';

/** An images file followed by a labels file, each gzip or not (http://yann.lecun.com/exdb/mnist). */
export interface IdxFormat {
  readonly kind: 'idx';
  /** Bytes of the images file; the labels file starts there. */
  readonly imagesBytes: number;
}

interface Idx {
  readonly dims: number[];
  readonly values: Uint8Array;
}

export async function readIdx(path: string, { imagesBytes }: IdxFormat, limits: TableLimits): Promise<Table> {
  const { size } = await stat(path);
  if (!(imagesBytes > 0 && imagesBytes < size)) {
    throw new DatasetError(`images_bytes is ${imagesBytes}, wanted a number between 0 and the ${size} bytes there are`);
  }
  const images = await readOne(path, { start: 0, end: imagesBytes - 1 }, 'images', limits);
  const labels = await readOne(path, { start: imagesBytes }, 'labels', limits);
  const [rows = 0, ...featureShape] = images.dims;
  if (featureShape.length === 0) throw new DatasetError('images: got 1 axis, wanted at least 2');
  if (labels.dims.length !== 1 || labels.dims[0] !== rows) {
    throw new DatasetError(`labels: got [${labels.dims.join(', ')}], wanted [${rows}], one for each image`);
  }
  if (rows === 0) throw new DatasetError('got 0 rows, wanted at least 1');
  const classes = labels.values.reduce((most, label) => Math.max(most, label), 0) + 1;
  return {
    rows,
    featureShape,
    featureNames: [],
    target: 'label',
    classes: Array.from({ length: classes }, (_, i) => String(i)),
    features: Float32Array.from(images.values),
    targets: Float32Array.from(labels.values),
  };
}

async function readOne(
  path: string,
  range: { start: number; end?: number },
  what: string,
  limits: TableLimits,
): Promise<Idx> {
  const parts: Buffer[] = [];
  try {
    for await (const part of await openContent(path, limits.decodedBytes, range)) parts.push(part as Buffer);
  } catch (error) {
    throw contentError(error);
  }
  const bytes = Buffer.concat(parts);
  if (bytes.length < 4 || bytes.readUInt16BE(0) !== 0) {
    throw new DatasetError(`${what}: got ${bytes.subarray(0, 4).toString('hex')} at the start, wanted an IDX file`);
  }
  if (bytes[2] !== 0x08) throw new DatasetError(`${what}: got element type ${bytes[2]}, wanted 8 (unsigned bytes)`);
  const rank = bytes[3]!;
  if (bytes.length < 4 + 4 * rank) throw new DatasetError(`${what}: the header breaks off`);
  const dims = Array.from({ length: rank }, (_, axis) => bytes.readUInt32BE(4 + 4 * axis));
  const wanted = dims.reduce((product, size) => product * size, 1);
  const values = bytes.subarray(4 + 4 * rank);
  if (values.length !== wanted) {
    throw new DatasetError(`${what}: got ${values.length} bytes for [${dims.join(', ')}], wanted ${wanted}`);
  }
  return { dims, values };
}
