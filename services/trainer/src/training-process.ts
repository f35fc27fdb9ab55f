// The child process of one training: takes its order over IPC, reports over IPC, hands over bytes as files.
import { DatasetError } from '@modelmill/data';
import type { FromTraining, TrainingOrder } from './training-messages.js';
import { TrainingFailedError } from './divergence.js';
import { runTraining } from './training-run.js';

// nobody is left to report to
process.on('disconnect', () => process.exit(1));
process.once('message', (order) => void train(order as TrainingOrder));

async function train(order: TrainingOrder): Promise<void> {
  try {
    await runTraining(order, tell);
  } catch (error) {
    await tell(endOf(error));
  }
  process.disconnect();
  process.exit(0);
}

function endOf(error: unknown): FromTraining {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof TrainingFailedError || error instanceof DatasetError) return { kind: 'failed', reason };
  console.error(error); // its stack is for our log alone
  return { kind: 'stumbled', reason };
}

/** Resolves when the message is on its way. */
function tell(message: FromTraining): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
