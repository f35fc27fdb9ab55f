import type { trainer } from '@modelmill/contracts';
import type { Artifacts, JobRecord } from '@modelmill/store';
import { readCheckpoint } from './checkpoint.js';
import type { HistoryLine } from './standing.js';

/** A job's history: all of it where it has ended well, otherwise what its last checkpoint knows. */
export async function historyOf(
  { status, checkpoint }: JobRecord,
  artifacts: Pick<Artifacts, 'read'>,
): Promise<trainer.TrainingHistoryLine[]> {
  const state = status.state;
  if (state?.$case === 'succeeded' && state.succeeded.historySha256 !== '') {
    const text = Buffer.from(await artifacts.read(state.succeeded.historySha256)).toString();
    return text
      .trimEnd()
      .split('\n')
      .map((line) => asMessage(JSON.parse(line) as HistoryLine));
  }
  if (checkpoint === undefined) return [];
  return readCheckpoint(Buffer.from(await artifacts.read(checkpoint))).standing.history.map(asMessage);
}

/** What is no number, such as a confusion matrix, is in the artifact alone. */
function asMessage({ step = 0, ...rest }: HistoryLine): trainer.TrainingHistoryLine {
  const figures = Object.fromEntries(Object.entries(rest).filter(([, value]) => typeof value === 'number'));
  return { step: BigInt(step), figures, evaluation: 'train_loss' in rest };
}
