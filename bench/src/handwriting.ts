import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { parseTrainingSpec } from '@modelmill/client';
import { openMesh } from './open-mesh.js';

const folder = fileURLToPath(new URL('../../../shared/data/mnist-10k/', import.meta.url));

export const hasHandwriting = existsSync(folder);

const [pixels, learned, held] = [784, 8_000, 2_000];
const [imagesHeader, labelsHeader] = [16, 8];

/** The last 2,000 images of MNIST's test set, which the network never sees, with their classes. */
export interface HeldOut {
  /** [2000, 28, 28], 0 to 255 */
  readonly images: Float32Array;
  readonly classes: Uint8Array;
}

const read = (part: string) => gunzipSync(readFileSync(`${folder}t10k-${part}-ubyte.gz`));

/** The first `count` of what an IDX file holds. */
function firstOf(idx: Buffer, count: number, header: number, each: number): Buffer {
  const kept = Buffer.from(idx.subarray(0, header + count * each));
  kept.writeUInt32BE(count, 4);
  return kept;
}

export function heldOut(): HeldOut {
  const [images, classes] = [read('images-idx3'), read('labels-idx1')];
  const from = imagesHeader + learned * pixels;
  return {
    images: Float32Array.from(images.subarray(from, from + held * pixels)),
    classes: new Uint8Array(classes.subarray(labelsHeader + learned, labelsHeader + learned + held)),
  };
}

/** The first so many images that the network learns from. */
export const someLearned = (count: number): Float32Array =>
  Float32Array.from(read('images-idx3').subarray(imagesHeader, imagesHeader + count * pixels));

/** A convolutional network that a mesh trains on the first 8,000 images, as ONNX. */
export async function learnHandwriting(): Promise<Buffer> {
  await using mesh = await openMesh();
  const { mill } = mesh;
  const images = firstOf(read('images-idx3'), learned, imagesHeader, pixels);
  const labels = firstOf(read('labels-idx1'), learned, labelsHeader, 1);
  await mill.datasets.upload({
    dataset: 'handwriting',
    content: Buffer.concat([images, labels]),
    format: { $case: 'idx', idx: { imagesBytes: BigInt(images.length) } },
    splits: { train: 0.9, validation: 0, test: 0.1, seed: 1n },
  });
  const conv = (filters: number, stride: number) => [
    { conv2d: { filters, kernel: [3], stride: [stride] } },
    { activation: { function: 'relu' } },
  ];
  const { status } = await mill.trainer.submit(
    parseTrainingSpec({
      model: 'handwriting',
      seed: 1,
      data: { dataset: 'handwriting', normalize: 'minmax' },
      layers: [
        { reshape: { shape: [1, 28, 28] } },
        ...conv(16, 1),
        ...conv(16, 2),
        ...conv(32, 2),
        { flatten: {} },
        { dense: { units: 64, activation: 'relu' } },
        { dense: { units: 10 } },
      ],
      losses: [{ kind: 'cross_entropy' }],
      optimizer: { adam: { learning_rate: 0.002 }, scheduled: { kind: 'one_cycle' } },
      epochs: 6,
      batch_size: 64,
    }),
  );
  for await (const { status: now } of mill.trainer.watch(status!.jobId)) {
    if (now?.state?.$case === 'failed') throw new Error(`the training failed: ${now.state.failed.reason}`);
  }
  const parts: Uint8Array[] = [];
  for await (const part of mill.registry.downloadVersion('handwriting', '1')) parts.push(part);
  return Buffer.concat(parts);
}
