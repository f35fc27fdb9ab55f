import { fileURLToPath } from 'node:url';
import { startChild } from '@modelmill/service-kit';
import type { FromTraining, TrainingOrder } from './training-messages.js';

// found from src and dist alike
const entry = fileURLToPath(new URL('../dist/training-process.js', import.meta.url));

/** The training process died without a word: another try may succeed. */
export class TrainingProcessError extends Error {
  override readonly name = 'TrainingProcessError';
}

export interface Surroundings {
  readonly signal: AbortSignal;
  /** All the process inherits: what device libraries are found by, such as LD_LIBRARY_PATH. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Runs a training in a process of its own, which blocks as it likes, and hands over what it reports, one message at a
 * time: the next one waits until `onMessage` is done. Ends the process when `signal` aborts.
 */
export async function trainInChild(
  order: TrainingOrder,
  surroundings: Surroundings,
  onMessage: (message: FromTraining) => Promise<void>,
): Promise<void> {
  let hasEnded = false;
  const child = startChild<FromTraining>(entry, { folder: order.folder, ...surroundings }, async (message) => {
    hasEnded ||= message.kind !== 'progress' && message.kind !== 'checkpoint';
    await onMessage(message);
  });
  child.send(order);
  const how = await child.ended;
  if (!hasEnded) throw new TrainingProcessError(`the training process ended with ${how}`);
}
