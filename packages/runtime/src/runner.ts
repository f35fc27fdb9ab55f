import { onInput } from '@modelmill/wire';
import { createExchangeFiles, exchangeFiles } from './exchange-files.js';
import { createFrameReader, encodeFrame, sendFrame } from './frames.js';
import type { EncodedFrame, Frame, FrameHeader } from './frames.js';
import { openMemoryGauge } from './memory-gauge.js';
import { RunnerError } from './runner-error.js';
import type { RunnerErrorKind } from './runner-error.js';
import type { LoadOptions, RunnerOptions } from './runner-options.js';
import { spawnRunnerProcess } from './spawn-runner-process.js';
import type { TensorData, TensorSignature } from './tensor.js';

/** What a model takes and gives, and how it was loaded. */
export interface LoadedModel {
  readonly inputs: readonly TensorSignature[];
  readonly outputs: readonly TensorSignature[];
  /** The execution provider that holds it. */
  readonly provider: string;
  readonly loadMs: number;
}

export interface RunResult {
  readonly outputs: Map<string, TensorData>;
  /** Nanoseconds inside ONNX Runtime. */
  readonly computeNs: bigint;
}

/** One input set for `measure`. */
export interface MeasuredCase {
  readonly id: string;
  readonly inputs: ReadonlyMap<string, TensorData>;
}

/** A child process that executes ONNX Runtime sessions, one request at a time, in the order they were made. */
export interface Runner extends AsyncDisposable {
  readonly pid: number;
  /** Loads the ONNX file at a path under an id of the caller's. */
  load(id: string, path: string, options?: LoadOptions): Promise<LoadedModel>;
  unload(id: string): Promise<void>;
  /** Every output, or those named. Throws RunnerError. */
  run(
    id: string,
    inputs: ReadonlyMap<string, TensorData>,
    outputs?: readonly string[],
    signal?: AbortSignal,
  ): Promise<RunResult>;
  /** Milliseconds per case and round, measured inside the runner, the cases in alternation. */
  measure(
    cases: readonly MeasuredCase[],
    options: { readonly rounds: number; readonly warmup: number },
  ): Promise<number[][]>;
  /** Resolves when the process has ended, for whatever reason. */
  readonly exited: Promise<{ reason: string }>;
}

interface Pending {
  readonly frame: EncodedFrame;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: RunnerError) => void;
  /** When it became the one that is executed, in ms of the monotonic clock. */
  begun: number;
}

const sentAhead = exchangeFiles; // the second one waits in the socket, so that the runner need not wait for us
const joinedBytes = 2 ** 13; // up to this, one write of a copy costs less than one of pieces
const watchMs = 20;
const idleMs = 10_000;

/** Starts a runner process and waits until it takes requests. */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const { requestTimeoutMs = 30_000, memoryLimitBytes = 4 * 2 ** 30 } = options;
  const child = await spawnRunnerProcess(options, memoryLimitBytes);
  const exchange = createExchangeFiles(child.exchange);
  const gauge = openMemoryGauge(child.pid);
  let nextFile = 0;
  let idleSince = 0;
  const waiting: Pending[] = [];
  const sent: Pending[] = [];
  let fate: { kind: RunnerErrorKind; reason: string } | undefined;

  let watch: NodeJS.Timeout | undefined;

  /** While there is work, and a little longer: an idle service sleeps. */
  function look() {
    const head = sent[0];
    if (head === undefined) {
      if (performance.now() - idleSince <= idleMs) return;
      exchange.release();
      clearInterval(watch);
      watch = undefined;
      return;
    }
    if (performance.now() - head.begun > requestTimeoutMs) {
      end('timeout', `the request executed longer than ${requestTimeoutMs} ms`);
    } else if (gauge.residentBytes() > memoryLimitBytes) {
      end('memory', `the request took more memory than ${memoryLimitBytes} bytes`);
    }
  }

  function end(kind: RunnerErrorKind, reason: string) {
    fate ??= { kind, reason };
    child.kill();
  }

  const onFrame = (frame: Frame) => {
    if (frame.header['ready'] === true) return; // the greeting, which starting waited for
    const head = sent.shift();
    idleSince = performance.now();
    if (sent[0] !== undefined) sent[0].begun = performance.now();
    pump();
    head?.resolve(frame);
  };
  const reader = createFrameReader(onFrame, exchange);
  onInput(child.channel, (chunk) => {
    if (fate !== undefined) return; // what comes after an answer that made no sense makes none either
    try {
      reader(chunk);
    } catch (error) {
      end('crashed', error instanceof Error ? error.message : String(error));
    }
  });
  child.channel.on('error', () => {}); // the process's end tells

  const exited = child.exited.then((exit) => {
    clearInterval(watch);
    gauge[Symbol.dispose]();
    const killed = fate === undefined && exit.killed;
    fate ??= { kind: 'crashed', reason: exit.reason };
    const [head, ...others] = [...sent.splice(0), ...waiting.splice(0)];
    head?.reject(new RunnerError(fate.kind, fate.reason, { killed }));
    for (const other of others) other.reject(new RunnerError('crashed', fate.reason, { innocent: true }));
    return { reason: fate.reason };
  });

  function pump() {
    while (sent.length < sentAhead) {
      const next = waiting.shift();
      if (next === undefined) return;
      if (sent.length === 0) next.begun = performance.now();
      sent.push(next);
      watch ??= setInterval(look, watchMs).unref();
      write(next.frame);
    }
  }

  function write(frame: EncodedFrame) {
    const file = nextFile++ % exchangeFiles;
    sendFrame(frame, { file, answerFile: file }, exchange, (pieces) => {
      if (pieces.length === 1) return void child.channel.write(pieces[0]!);
      if (frame.bodyBytes <= joinedBytes) return void child.channel.write(Buffer.concat(pieces));
      child.channel.cork();
      for (const piece of pieces) child.channel.write(piece);
      child.channel.uncork();
    });
  }

  async function request(frame: EncodedFrame, signal?: AbortSignal): Promise<Frame> {
    if (fate !== undefined) throw new RunnerError('crashed', fate.reason, { innocent: true });
    if (signal?.aborted === true) throw cancelled();
    const answer = await new Promise<Frame>((resolve, reject) => {
      const pending = { frame, resolve, reject, begun: 0 };
      waiting.push(pending);
      if (signal !== undefined) {
        signal.addEventListener('abort', cancel, { once: true });
        pending.resolve = (answered) => settle(() => resolve(answered));
        pending.reject = (error) => settle(() => reject(error));
      }
      pump();

      function settle(done: () => void) {
        signal?.removeEventListener('abort', cancel);
        done();
      }
      function cancel() {
        const index = waiting.indexOf(pending);
        if (index >= 0) waiting.splice(index, 1);
        reject(cancelled()); // one that is being executed goes on, for nobody
      }
    });
    const error = answer.header['error'] as { kind: RunnerErrorKind; message: string } | undefined;
    if (error !== undefined) throw new RunnerError(error.kind, error.message);
    return answer;
  }

  const ask = async (header: FrameHeader) => request(encodeFrame(header));

  return {
    pid: child.pid,
    exited,
    load: async (id, path, options) =>
      (await ask({ op: 'load', id, path, ...options })).header['loaded'] as LoadedModel,
    unload: async (id) => void (await ask({ op: 'unload', id })),
    async run(id, inputs, outputs, signal) {
      const { header, tensors } = await request(encodeFrame({ op: 'run', id, outputs }, inputs), signal);
      return { outputs: tensors, computeNs: BigInt(header['computeNs'] as number) };
    },
    async measure(cases, { rounds, warmup }) {
      const tensors = cases.flatMap(({ inputs }, index) =>
        [...inputs].map(([name, data]) => [`${index}/${name}`, data] as const),
      );
      const ids = cases.map(({ id }) => id);
      const { header } = await request(encodeFrame({ op: 'measure', ids, rounds, warmup }, tensors));
      return header['milliseconds'] as number[][];
    },
    async [Symbol.asyncDispose]() {
      end('refused', 'the runner is closed');
      await exited;
    },
  };
}

const cancelled = () => new RunnerError('cancelled', 'the caller went away');
