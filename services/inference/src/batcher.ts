import type { RunResult } from '@modelmill/runtime';
import { RpcError } from '@modelmill/service-kit';
import { batchKey, gather, split } from './batch.js';
import type { Tensors } from './batch.js';
import { callerGone, queueFull, queueTimeout, stopping } from './errors.js';
import type { CheckedRequest } from './infer-request.js';
import type { VersionStatistics } from './statistics.js';

export interface BatcherOptions {
  readonly model: string;
  /** Whether requests may share an execution. */
  readonly batched: boolean;
  /** Rows per execution. */
  readonly maxBatch: number;
  /** Requests that may wait. */
  readonly maxQueue: number;
  /** Executions under way at a time. */
  readonly lanes: number;
  readonly statistics: VersionStatistics;
  execute(inputs: Tensors, outputs: readonly string[] | undefined): Promise<RunResult>;
}

/** Batches what has waited, and adds no waiting of its own. One per loaded version. */
export interface Batcher {
  /** All outputs of the model, or those asked for. */
  infer(request: CheckedRequest, signal?: AbortSignal): Promise<Tensors>;
  /** Requests that wait. */
  waiting(): number;
  /** Takes no more; resolves when what it had taken is answered. */
  drain(): Promise<void>;
}

interface Waiting {
  readonly request: CheckedRequest;
  readonly signal: AbortSignal | undefined;
  readonly key: string;
  readonly since: number;
  readonly resolve: (outputs: Tensors) => void;
  readonly reject: (error: unknown) => void;
}

export function createBatcher(options: BatcherOptions): Batcher {
  const { model, maxBatch, maxQueue, lanes, statistics, execute } = options;
  let { batched } = options;
  let queue: Waiting[] = [];
  let executing = 0;
  let planned = false;
  let draining = false;
  let drained = () => {};

  /** Behind all that go first or came first. */
  function enqueue(waiting: Waiting) {
    let at = queue.length;
    while (at > 0 && queue[at - 1]!.request.priority > waiting.request.priority) at--;
    queue.splice(at, 0, waiting);
  }

  /** After the requests that arrive in the same turn of the event loop, so that they share an execution. */
  function plan() {
    if (planned) return;
    planned = true;
    setImmediate(() => {
      planned = false;
      while (executing < lanes && queue.length > 0) launch();
      if (draining && queue.length === 0 && executing === 0) drained();
    });
  }

  function launch() {
    const batch = take();
    if (batch.length === 0) return;
    executing++;
    void run(batch).finally(() => {
      executing--;
      if (queue.length > 0) plan();
      else if (draining && executing === 0) drained();
    });
  }

  /** The first one that still wants an answer, and those behind it that fit with it; the others keep their order. */
  function take(): Waiting[] {
    const batch: Waiting[] = [];
    const left: Waiting[] = [];
    let rows = 0;
    let index = 0;
    for (; index < queue.length; index++) {
      const next = queue[index]!;
      const refusal = reasonNotToRun(next);
      if (refusal !== undefined) next.reject(refusal);
      else if (batch.length === 0) {
        batch.push(next);
        rows = next.request.rows;
        if (!batched) break;
      } else if (next.key === batch[0]!.key && rows + next.request.rows <= maxBatch) {
        batch.push(next);
        rows += next.request.rows;
      } else left.push(next);
      if (rows >= maxBatch) break;
    }
    queue.splice(0, index + 1, ...left);
    return batch;
  }

  async function run(batch: readonly Waiting[]): Promise<void> {
    const begun = performance.now();
    const rows = batch.map(({ request }) => request.rows);
    try {
      const inputs = gather(batch.map(({ request }) => request));
      const gathered = performance.now();
      const { outputs } = await execute(inputs, commonOutputs(batch));
      const executed = performance.now();
      const parts = split(outputs, rows);
      if (parts === undefined) {
        batched = false; // it said it was, with a variable first dimension, and is not
        return await runApart(batch);
      }
      const done = performance.now();
      const total = rows.reduce((sum, count) => sum + count, 0);
      statistics.executed(total, gathered - begun, executed - gathered, done - executed);
      batch.forEach(({ request, since, resolve }, index) => {
        statistics.succeeded(request.rows, begun - since, gathered - begun, executed - gathered, done - executed);
        resolve(parts[index]!);
      });
    } catch (error) {
      // one bad request must not fail the others it was put together with
      if (batch.length > 1) await runApart(batch);
      else batch[0]!.reject(error);
    }
  }

  async function runApart(batch: readonly Waiting[]): Promise<void> {
    for (const waiting of batch.filter(stillWanted)) await run([waiting]);
  }

  /** Outputs are named to the runner where all ask for the same ones. */
  function commonOutputs(batch: readonly Waiting[]): readonly string[] | undefined {
    const first = batch[0]!.request.outputs;
    if (first === undefined || batch.length === 1) return first;
    return batch.every(({ request }) => request.outputs?.join() === first.join()) ? first : undefined;
  }

  return {
    infer: (request, signal) =>
      new Promise((resolve, reject) => {
        if (draining) throw stopping();
        if (queue.length >= maxQueue) queue = queue.filter(stillWanted);
        if (queue.length >= maxQueue) throw queueFull(model, maxQueue);
        const key = batched ? batchKey(request.inputs) : '';
        enqueue({ request, signal, key, since: performance.now(), resolve, reject });
        if (executing < lanes) plan();
      }),
    waiting: () => queue.length,
    drain() {
      draining = true;
      return new Promise((resolve) => {
        drained = resolve;
        if (queue.length === 0 && executing === 0) resolve();
      });
    },
  };
}

function stillWanted(waiting: Waiting): boolean {
  const refusal = reasonNotToRun(waiting);
  if (refusal !== undefined) waiting.reject(refusal);
  return refusal === undefined;
}

function reasonNotToRun({ request, signal, since }: Waiting): Error | undefined {
  if (signal?.aborted === true) return signal.reason instanceof RpcError ? signal.reason : callerGone();
  const { queueTimeoutMs } = request;
  if (queueTimeoutMs !== undefined && queueTimeoutMs > 0 && performance.now() - since > queueTimeoutMs) {
    return queueTimeout();
  }
  return undefined;
}
