import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Mill, datasets } from '@modelmill/client';

/** Data that is not part of the project. */
export const sharedData = resolve(__dirname, '../../shared/data');
export const hasSharedData = existsSync(sharedData);

/** 8,000 handwritten digits to learn from, and 2,000 held out by a seed. */
export function uploadMnist(mill: Mill): Promise<datasets.DatasetVersion> {
  const [images, labels] = ['images-idx3', 'labels-idx1'].map((part) =>
    readFileSync(resolve(sharedData, `mnist-10k/t10k-${part}-ubyte.gz`)),
  );
  return mill.datasets.upload({
    dataset: 'mnist',
    content: Buffer.concat([images!, labels!]),
    format: { $case: 'idx', idx: { imagesBytes: BigInt(images!.length) } },
    splits: { train: 0.8, validation: 0, test: 0.2, seed: 1n },
  });
}
