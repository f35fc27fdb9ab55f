import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openMemoryGauge } from '@modelmill/runtime';
import { startChild } from '@modelmill/service-kit';
import { JobFailedError } from '@modelmill/store';
import { PassProcessError, openCalls } from './calls.js';
import type { Answers, CallEnd, CallMessage } from './calls.js';
import type { PassNeeds, PassWork } from './pass-calls.js';

// found from src and dist alike
const entry = fileURLToPath(new URL('../../dist/process/pass-process.js', import.meta.url));
const watchMs = 50;

/** Weights are large and are soon done with: what is freed goes back to the system, and V8 may be told to look. */
const givesMemoryBack = { environment: { MALLOC_MMAP_THRESHOLD_: '131072' }, nodeOptions: ['--expose-gc'] };

export interface PassProcessOptions {
  /** One that holds more is ended, and its job fails. */
  readonly memoryBytes: number;
}

/** A process that computes for long, one job at a time. */
export interface PassProcess extends AsyncDisposable {
  readonly pid: number;
  readonly call: CallEnd<PassWork>['call'];
  /** Calls fail at once. */
  readonly hasEnded: boolean;
}

/** Ends at once when the signal aborts, and takes its temporary files along however it ends. */
export async function startPassProcess(
  { memoryBytes }: PassProcessOptions,
  signal: AbortSignal,
  needs: Answers<PassNeeds>,
): Promise<PassProcess> {
  signal.throwIfAborted();
  const folder = await mkdtemp(join(tmpdir(), 'mill-passes-'));
  const child = startChild<CallMessage>(entry, { folder, signal, ...givesMemoryBack }, (message) =>
    passes.receive(message),
  );
  const passes: CallEnd<PassWork> = openCalls<PassNeeds, PassWork>(child.send, needs);
  let isTooLarge = false;
  let hasEnded = false;
  const gauge = openMemoryGauge(child.pid);
  const watch = setInterval(() => {
    if (gauge.residentBytes() <= memoryBytes) return;
    isTooLarge = true;
    child.kill();
  }, watchMs);
  const ended = child.ended
    .then((how) => (isTooLarge ? tooLarge(memoryBytes) : new PassProcessError(`the pass process ended with ${how}`)))
    .catch((error: unknown) => error)
    .then(async (reason) => {
      clearInterval(watch);
      gauge[Symbol.dispose]();
      hasEnded = true;
      passes.close(reason);
      await rm(folder, { recursive: true, force: true });
    });
  return {
    pid: child.pid,
    call: passes.call,
    get hasEnded() {
      return hasEnded;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}

const tooLarge = (bytes: number) =>
  new JobFailedError(
    `the passes took more memory than ${bytes} bytes, the bound of a pass process (MILL_PASS_MEMORY_BYTES)`,
  );
