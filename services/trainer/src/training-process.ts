// The child process of one training: takes its order over IPC, reports over IPC, hands over bytes as files.
import type { FromTraining, TrainingOrder } from './training-messages.js';
import { TrainingFailedError, runTraining } from './training-run.js';

// nobody is left to report to
process.on('disconnect', () => process.exit(1));
process.once('message', (order) => void train(order as TrainingOrder));

async function train(order: TrainingOrder): Promise<void> {
  try {
    await runTraining(order, tell);
  } catch (error) {
    if (!(error instanceof TrainingFailedError)) throw error;
    await tell({ kind: 'failed', reason: error.message });
  }
  process.disconnect();
  process.exit(0);
}

/** Resolves when the message is on its way. */
function tell(message: FromTraining): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
