import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { trainer } from '@modelmill/contracts';
import type { FromTraining, TrainingOrder } from './training-messages.js';
import { planTraining } from './training-plan.js';
import { runTraining } from './training-run.js';

const digits = fileURLToPath(new URL('../../../examples/data/digits.csv.gz', import.meta.url));
const folders: string[] = [];

/** A folder that goes with `removeFolders`. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mill-training-'));
  folders.push(folder);
  return folder;
}

export const removeFolders = () => folders.forEach((folder) => rmSync(folder, { recursive: true }));

export type Spec = Parameters<typeof trainer.TrainingSpec.fromPartial>[0];

export const dense = (units: number, activation = '') => ({
  kind: { $case: 'dense' as const, dense: { units, activation } },
});
const dropout = { kind: { $case: 'dropout' as const, dropout: { rate: 0.2 } } };
const layers = [dense(32, 'relu'), { kind: { $case: 'batchNorm' as const, batchNorm: {} } }, dropout, dense(10)];

/** Of three epochs of 22 steps on digits, unless the spec says otherwise. */
export function orderOf(spec: Spec, changes: Partial<TrainingOrder> = {}): TrainingOrder {
  const whole = trainer.TrainingSpec.fromPartial({
    model: 'digits',
    data: { dataset: 'digits', normalize: 'standard' },
    layers,
    optimizer: { kind: { $case: 'adam', adam: { learningRate: 0.005 } } },
    epochs: 3,
    seed: 5n,
    ...spec,
  });
  return {
    plan: planTraining(whole),
    inputs: { datasetVersion: '1' },
    dataset: {
      path: digits,
      format: { kind: 'csv', header: false, target: '' },
      splits: { train: 0.8, validation: 0, test: 0.2, seed: '0' },
    },
    loss: [{ kind: 'cross_entropy' }],
    basePath: undefined,
    teacherPath: undefined,
    checkpointPath: undefined,
    folder: newFolder(),
    threads: 1,
    checkpointMs: 1_000_000,
    scanned: false,
    ...changes,
  };
}

/** What a training in this process told, and copies of its checkpoints. */
export async function run(order: TrainingOrder) {
  const messages: FromTraining[] = [];
  const checkpoints: { step: number; path: string }[] = [];
  await runTraining(order, async (message) => {
    messages.push(message);
    if (message.kind !== 'checkpoint') return;
    // a step that is done twice has one file
    const path = `${message.path}.${checkpoints.length}`;
    copyFileSync(message.path, path);
    checkpoints.push({ step: message.step, path });
  });
  const done = messages.find((message) => message.kind === 'done')!;
  const progress = messages.flatMap((message) => (message.kind === 'progress' ? [message.progress] : []));
  const history = readFileSync(done.historyPath, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  return { ...done, model: readFileSync(done.path), progress, checkpoints, history };
}
