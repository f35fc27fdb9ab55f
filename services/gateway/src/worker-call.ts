import { Worker } from 'node:worker_threads';

/** What a worker entry posts: a value, or the sentence its user must read. */
export type WorkerAnswer<T> =
  { readonly kind: 'done'; readonly value: T } | { readonly kind: 'refused'; readonly reason: string };

export interface WorkerLimits {
  readonly timeoutMs: number;
  readonly heapMb: number;
}

/**
 * Runs a worker entry to its answer in a thread of its own: what a hostile file costs is bounded in time and memory,
 * and the event loop goes on. `refuse` makes the error for a file beyond the limits.
 */
export async function callWorker<T>(
  entry: URL,
  data: unknown,
  { timeoutMs, heapMb }: WorkerLimits,
  refuse: (reason: string) => Error,
): Promise<T> {
  const worker = new Worker(entry, { workerData: data, resourceLimits: { maxOldGenerationSizeMb: heapMb } });
  const answer = await new Promise<WorkerAnswer<T>>((resolve, reject) => {
    const late = setTimeout(
      () => resolve({ kind: 'refused', reason: `reading it took longer than ${timeoutMs} ms` }),
      timeoutMs,
    );
    worker.once('message', resolve);
    worker.once('error', (error: Error & { code?: string }) =>
      error.code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? resolve({ kind: 'refused', reason: `reading it takes more than ${heapMb} MiB of memory` })
        : reject(error),
    );
    worker.once('exit', () => clearTimeout(late));
  }).finally(() => worker.terminate());
  if (answer.kind === 'refused') throw refuse(answer.reason);
  return answer.value;
}
