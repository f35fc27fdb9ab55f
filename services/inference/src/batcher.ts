import { RunnerError } from '@modelmill/runtime';
import type { RunResult } from '@modelmill/runtime';
import { RpcError } from '@modelmill/service-kit';
import { letGo, makeSole } from '@modelmill/wire';
import { batchKey, gather, split } from './batch.js';
import type { Tensors } from './batch.js';
import { costOf, isWorthParting } from './batch-cost.js';
import type { ExecutionCost } from './batch-cost.js';
import {
  answerTooLate,
  callerGone,
  deadlinePassed,
  queueBytesFull,
  queueFull,
  queueTimeout,
  stopping,
} from './errors.js';
import { createExecutions } from './executions.js';
import { createForecast } from './forecast.js';
import type { CheckedRequest } from './infer-request.js';
import type { VersionStatistics } from './statistics.js';
import type { Watch } from './trial.js';

export interface BatcherOptions {
  readonly model: string;
  /** Whether requests may share an execution. */
  readonly batched: boolean;
  /** Rows per execution. */
  readonly maxBatch: number;
  /** Requests that may wait. */
  readonly maxQueue: number;
  /** Bytes of inputs that may wait. */
  readonly maxQueueBytes: number;
  /** How long an answer may take, for callers without a deadline, before it is refused at once. */
  readonly maxWaitMs: number;
  /** Executions that make progress at a time. */
  readonly runners: number;
  /** Executions at a time of which none is slower for the others. */
  readonly sideBySide: number;
  /** Executions under way at a time: some more, so that no runner waits for one to be put together. */
  readonly lanes: number;
  /** What executions cost, as far as it is known, and what of it ONNX Runtime takes. */
  readonly cost: ExecutionCost;
  readonly statistics: VersionStatistics;
  /** `expectedMs`: about how long it should take; 0 where that is not known. */
  execute(inputs: Tensors, outputs: readonly string[] | undefined, expectedMs: number): Promise<RunResult>;
  /** Of the runners, for whichever version: executions and loads that are under way, and runners that have none. */
  occupancy(): { readonly requests: number; readonly idle: number };
}

/** Who waits for an answer. */
export interface Caller {
  /** Aborts when the caller has gone. */
  readonly signal?: AbortSignal;
  /** When the caller goes, in ms of the epoch. */
  readonly deadline?: number;
  /** Hears of what becomes of the request. */
  readonly watch?: Watch;
  /** Sees its outputs, before classification, and the time in ONNX Runtime of the execution that it was part of. */
  readonly observe?: (outputs: Tensors, executionMs: number) => void;
  /** Nobody waits for the answer: all others go first and share no execution with it, and nothing is loaded for it. */
  readonly background?: boolean;
}

/**
 * Batches what has waited, and keeps no runner waiting for it: what comes while they have work gathers here, and not in front of
 * them. One per loaded version. What could not be answered within its
 * deadline is refused as it comes: it would take the time of those that can.
 */
export interface Batcher {
  /** All outputs of the model, or those asked for. */
  infer(request: CheckedRequest, caller?: Caller): Promise<Tensors>;
  /** Requests that wait. */
  waiting(): number;
  /** Requests that wait and executions under way, without those in the background. */
  demand(): number;
  /** Takes no more; resolves when what it had taken is answered. */
  drain(): Promise<void>;
}

interface Waiting {
  readonly request: CheckedRequest;
  readonly caller: Caller;
  readonly key: string;
  readonly bytes: number;
  /** What the forecast said. */
  readonly work: number;
  readonly since: number;
  readonly resolve: (outputs: Tensors) => void;
  readonly reject: (error: unknown) => void;
}

/** What it takes at least to put an execution together and to send it. */
const leastLeadMs = 2;

export function createBatcher(options: BatcherOptions): Batcher {
  const { model, maxBatch, maxQueue, maxQueueBytes, maxWaitMs, sideBySide, lanes, cost, statistics, execute } = options;
  const forecast = createForecast({ ...options, curve: cost.whole });
  let { batched } = options;
  let queue: Waiting[] = [];
  const queued = { requests: 0, rows: 0, bytes: 0 };
  const wanted = { requests: 0, rows: 0, bytes: 0 }; // of these, what somebody waits for
  let wantedSince = 0;
  const executing = createExecutions({ sideBySide, curve: cost.whole });
  let planned = false;
  let timer: NodeJS.Timeout | undefined;
  let draining = false;
  let drained = () => {};

  /** Behind all that go first or came first. */
  function enqueue(waiting: Waiting) {
    let at = queue.length;
    while (at > 0 && goesBefore(waiting, queue[at - 1]!)) at--;
    queue.splice(at, 0, waiting);
    count(waiting, 1);
    if (wanted.requests === 1 && !isBackground(waiting)) wantedSince = waiting.since;
  }

  const dequeued = (waiting: Waiting) => count(waiting, -1);

  function count(waiting: Waiting, by: 1 | -1) {
    for (const sums of isBackground(waiting) ? [queued] : [queued, wanted]) {
      sums.requests += by;
      sums.rows += by * waiting.request.rows;
      sums.bytes += by * waiting.bytes;
    }
  }

  /** Whether somebody waits for it; who does not is told, and gone from the queue. */
  function isWanted(waiting: Waiting): boolean {
    const refusal = reasonNotToRun(waiting);
    if (refusal === undefined) return true;
    dequeued(waiting);
    waiting.reject(refusal);
    return false;
  }

  /** Rows that go before a request of this priority, which has so many before it without one. */
  function rowsBefore(priority: number, without: number): number {
    if (priority === Infinity) return without;
    return queue.reduce((rows, { request }) => (request.priority <= priority ? rows + request.rows : rows), 0);
  }

  /**
   * Whether the queue has been there for as long as requests wait in it: then it takes up no burst, and only makes every
   * answer come at the last moment (as in CoDel, Nichols and Jacobson 2012).
   */
  function isStanding(patienceMs: number): boolean {
    return wanted.requests > 0 && performance.now() - wantedSince > patienceMs;
  }

  /** Throws where the request cannot be taken; else the work until its answer. */
  function admit({ rows, priority }: CheckedRequest, bytes: number, caller: Caller): number {
    if (draining) throw stopping();
    const { deadline = Infinity, background = false } = caller;
    const ahead = background ? queued : wanted;
    const isFull = () => ahead.requests >= maxQueue || (ahead.bytes + bytes > maxQueueBytes && ahead.requests > 0);
    if (isFull()) queue = queue.filter(isWanted);
    if (isFull()) throw ahead.requests >= maxQueue ? queueFull(model, maxQueue) : queueBytesFull(model, maxQueueBytes);
    const under = [...executing].map((execution) => execution.rows);
    const work = forecast.work({ executing: under, waiting: rowsBefore(priority, ahead.rows) + rows, own: rows });
    const patienceMs = Math.min(deadline - Date.now(), maxWaitMs);
    const expectedMs = forecast.milliseconds(work);
    // where a runner is free it is tried, whatever the forecast says: it learns from answers alone
    const mustWait = ahead.requests > 0 || executing.size >= lanes;
    if (mustWait && expectedMs > (isStanding(patienceMs) ? patienceMs / 2 : patienceMs)) {
      throw answerTooLate(model, expectedMs, patienceMs);
    }
    return work;
  }

  /** After the requests that arrive in the same turn of the event loop, so that they share an execution. */
  function plan() {
    if (planned) return;
    planned = true;
    setImmediate(() => {
      planned = false;
      clearTimeout(timer);
      while (executing.size < lanes && queue.length > 0) {
        const ms = executing.size < sideBySide ? 0 : msToGather();
        if (ms > 0) {
          timer = setTimeout(plan, ms);
          break;
        }
        launch();
      }
      if (draining && queue.length === 0 && executing.size === 0) drained();
    });
  }

  /**
   * How long what waits may go on waiting for more to go with it, while every runner has work: until one is about to have none.
   * What is put together before that is sent with few rows, and those who come next wait for it. Where runners work for other
   * versions, too, whoever comes late to them is last: then nothing waits here.
   */
  function msToGather(): number {
    if (!batched || isFull() || isCrowded() || !haveOnlyOurs()) return 0;
    const rows = Math.min(queued.rows, maxBatch);
    const sendingMs = Math.max(leastLeadMs, costOf(cost.whole, rows) - costOf(cost.compute, rows));
    return Math.max(0, executing.msUntilIdle() - sendingMs);
  }

  /** Whether what waits is near to what may. */
  function isCrowded(): boolean {
    return 2 * wanted.requests >= maxQueue || 2 * wanted.bytes >= maxQueueBytes;
  }

  /** Whether runners have work, and none but ours. */
  function haveOnlyOurs(): boolean {
    const { requests, idle } = options.occupancy();
    return requests <= executing.size && idle <= options.runners - sideBySide;
  }

  /** Whether as many rows wait as go together with the first of them. */
  function isFull(): boolean {
    if (queued.rows < maxBatch) return false;
    let rows = 0;
    for (const { key, request } of queue) {
      if (key === queue[0]!.key) rows += request.rows;
      if (rows >= maxBatch) return true;
    }
    return false;
  }

  function launch() {
    const batch = take();
    if (batch.length === 0) return;
    const rows = batch.reduce((sum, { request }) => sum + request.rows, 0);
    const execution = { rows, background: isBackground(batch[0]!) };
    executing.begin(execution);
    let isAnswered = false;
    const ended = run(batch).then((answered) => void (isAnswered = answered));
    void ended.finally(() => {
      executing.end(execution, isAnswered);
      if (queue.length > 0) plan();
      else if (draining && executing.size === 0) drained();
    });
  }

  /** Runners that are free get a part each of what is waited for, where that costs little. */
  function rowsToTake(): number {
    const free = Math.min(sideBySide - executing.size, options.occupancy().idle);
    const rows = Math.min(wanted.rows, free * maxBatch);
    const part = Math.ceil(rows / free);
    return free > 1 && rows > 0 && isWorthParting(cost.whole, part, Math.min(rows, maxBatch)) ? part : maxBatch;
  }

  /** The first one that still wants an answer, and those behind it that fit with it; the others keep their order. */
  function take(): Waiting[] {
    const most = rowsToTake();
    const batch: Waiting[] = [];
    const left: Waiting[] = [];
    let rows = 0;
    let index = 0;
    for (; index < queue.length; index++) {
      const next = queue[index]!;
      if (!isWanted(next)) continue;
      const fits = next.key === batch[0]?.key && rows + next.request.rows <= most;
      if (batch.length === 0 || fits) {
        dequeued(next);
        batch.push(next);
        rows += next.request.rows;
        if (!batched) break;
      } else left.push(next);
      if (rows >= most) break;
    }
    queue.splice(0, index + 1, ...left);
    return batch;
  }

  /** Whether one execution answered all of them. */
  async function run(batch: readonly Waiting[]): Promise<boolean> {
    const begun = performance.now();
    const rows = batch.map(({ request }) => request.rows);
    const total = rows.reduce((sum, count) => sum + count, 0);
    try {
      const inputs = gather(batch.map(({ request }) => request));
      const gathered = performance.now();
      const { outputs, computeNs } = await execute(inputs, commonOutputs(batch), executing.expectedMs(total));
      const executed = performance.now();
      const parts = split(outputs, rows);
      if (parts === undefined) {
        batched = false; // it said it was, with a variable first dimension, and is not
        await runApart(batch);
        return false;
      }
      const done = performance.now();
      statistics.executed(total, gathered - begun, executed - gathered, done - executed);
      if (batch.some(({ caller }) => caller.watch)) {
        const watches = new Set(batch.map(({ caller }) => caller.watch));
        for (const watch of watches) watch?.executed(total, Number(computeNs) / 1e6);
      }
      forecast.learn(batch[0]!.work, done - batch[0]!.since);
      batch.forEach(({ request, caller, since, resolve }, index) => {
        statistics.succeeded(request.rows, begun - since, gathered - begun, executed - gathered, done - executed);
        if (caller.observe) caller.observe(parts[index]!, Number(computeNs) / 1e6);
        else settleMemory(request.inputs, batch.length === 1 ? outputs : undefined);
        resolve(parts[index]!);
      });
      return true;
    } catch (error) {
      // one bad request must not fail the others it was put together with; but what nobody waits for ends one runner, not many
      if (batch.length > 1 && !(isBackground(batch[0]!) && endsRunner(error))) await runApart(batch);
      else for (const { reject } of batch) reject(error);
      return false;
    }
  }

  async function runApart(batch: readonly Waiting[]): Promise<void> {
    for (const waiting of batch) {
      const refusal = reasonNotToRun(waiting);
      if (refusal === undefined) await run([waiting]);
      else waiting.reject(refusal);
    }
  }

  /** Outputs are named to the runner where all ask for the same ones. */
  function commonOutputs(batch: readonly Waiting[]): readonly string[] | undefined {
    const first = batch[0]!.request.outputs;
    if (first === undefined || batch.length === 1) return first;
    return batch.every(({ request }) => request.outputs?.join() === first.join()) ? first : undefined;
  }

  return {
    infer: (request, caller = {}) =>
      new Promise((resolve, reject) => {
        const bytes = bytesOf(request);
        const work = admit(request, bytes, caller);
        const key = (caller.background ? 'background ' : '') + (batched ? batchKey(request.inputs) : '');
        enqueue({ request, caller, key, bytes, work, since: performance.now(), resolve, reject });
        if (executing.size < lanes) plan();
      }),
    waiting: () => queue.length,
    demand: () => wanted.requests + [...executing].filter(({ background }) => !background).length,
    drain() {
      draining = true;
      return new Promise((resolve) => {
        drained = resolve;
        if (queue.length === 0 && executing.size === 0) resolve();
      });
    },
  };
}

/** Nobody looks at what was asked any more; the memory of what nobody else got goes with the answer that is made of it. */
function settleMemory(inputs: Tensors, own: Tensors = new Map()): void {
  for (const { data } of inputs.values()) letGo(data);
  for (const { data } of own.values()) makeSole(data);
}

const isBackground = ({ caller }: Waiting) => caller.background === true;

function goesBefore(one: Waiting, other: Waiting): boolean {
  if (isBackground(one) !== isBackground(other)) return isBackground(other);
  return one.request.priority < other.request.priority;
}

const endsRunner = (error: unknown) =>
  error instanceof RunnerError && (error.kind === 'timeout' || error.kind === 'memory' || error.kind === 'crashed');

function bytesOf({ inputs }: CheckedRequest): number {
  let bytes = 0;
  for (const { data } of inputs.values()) bytes += data.byteLength;
  return bytes;
}

function reasonNotToRun({ request, caller: { signal, deadline = Infinity }, since }: Waiting): Error | undefined {
  if (Date.now() >= deadline) return deadlinePassed();
  if (signal?.aborted === true) return signal.reason instanceof RpcError ? signal.reason : callerGone();
  const { queueTimeoutMs } = request;
  if (queueTimeoutMs !== undefined && queueTimeoutMs > 0 && performance.now() - since > queueTimeoutMs) {
    return queueTimeout();
  }
  return undefined;
}
