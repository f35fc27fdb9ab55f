import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseTrainingSpec } from '@modelmill/client';
import type { Mill, datasets, trainer } from '@modelmill/client';
import { parseAllDocuments } from 'yaml';

const examples = resolve(__dirname, '../examples');

export const digitsFile = () => readFileSync(resolve(examples, 'data/digits.csv.gz'));

/** The pixels of the first digit of the file, which is a 0. */
export const firstDigit = () =>
  gunzipSync(digitsFile()).toString().split('\n', 1)[0]!.split(',').slice(0, 64).map(Number);

export const uploadDigits = (mill: Mill): Promise<datasets.DatasetVersion> =>
  mill.datasets.upload({ dataset: 'digits', content: digitsFile() });

/** The documents of a YAML file under examples/. */
export const readExample = (name: string): unknown[] =>
  parseAllDocuments(readFileSync(resolve(examples, name), 'utf8')).map((document) => document.toJSON() as unknown);

/** A network small enough to train within seconds, for tests about something else. */
export const smallSpec = (changes: Record<string, unknown> = {}): trainer.TrainingSpec =>
  parseTrainingSpec({
    model: 'digits',
    data: { dataset: 'digits', normalize: 'minmax' },
    layers: [{ dense: { units: 32, activation: 'relu' } }, { dense: { units: 10 } }],
    optimizer: { adam: { learning_rate: 0.005 } },
    epochs: 10,
    seed: 1,
    ...changes,
  });
