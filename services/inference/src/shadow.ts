import { status } from '@grpc/grpc-js';
import type { inference, registry } from '@modelmill/contracts';
import { RunnerError } from '@modelmill/runtime';
import { RpcError } from '@modelmill/service-kit';
import type { Tensors } from './batch.js';
import type { ServedVersion } from './served-version.js';
import { createShadowBacklog } from './shadow-backlog.js';
import type { Answered } from './shadow-backlog.js';
import { createShadowTally } from './shadow-tally.js';
import type { DropReason, ShadowTally, Shadowed } from './shadow-tally.js';

/** What a shadow stands on. */
export interface ShadowGround {
  /** The shadow's version, where it is ready. */
  find(): ServedVersion | undefined;
  /** Whether requests that somebody waits for take or want every runner. */
  isBusy(): boolean;
  /** Whether one more shadow may run now; then `leave` has to follow. */
  enter(): boolean;
  leave(): void;
}

/** Runs a share of a label's requests again, after their answers, and compares. */
export interface Shadow extends Disposable {
  readonly setting: registry.Shadow;
  readonly tally: ShadowTally;
  /** The version, with its answers passed on to the shadow. */
  over(served: ServedVersion): ServedVersion;
  /** Goes on where it had to wait. */
  proceed(): void;
}

const lookMs = 25;
const restMs = 30_000; // what ends runners disturbs more than itself
const patienceMs = 10_000;

export function createShadow(setting: registry.Shadow, ground: ShadowGround): Shadow {
  const tally = createShadowTally();
  const backlog = createShadowBacklog();
  const shadowed = new WeakMap<ServedVersion, ServedVersion>();
  let credit = 0;
  let running = false;
  let restsUntil = 0;
  let planned: NodeJS.Immediate | undefined;
  let looking: NodeJS.Timeout | undefined;
  let ended = false;

  /** Every stretch of requests has its share. */
  function isPicked(): boolean {
    credit += setting.share;
    if (credit < 1 - 1e-9) return false;
    credit -= 1;
    return true;
  }

  /** After the answer has left. */
  function take(answered: Answered) {
    if (ended) return;
    if (performance.now() < restsUntil) tally.drop('resting');
    else if (backlog.add(answered)) planned ??= setImmediate(proceed);
    else tally.drop('busy');
  }

  /** One group of requests at a time, where a runner is left for it. */
  function proceed() {
    planned = undefined;
    if (ended || running || backlog.size() === 0) return;
    const version = ground.find();
    if (version === undefined) return tally.drop('not_loaded', backlog.clear());
    if (version.memoryBytes === 0) {
      version.bringInBeside();
      return tally.drop('not_in_memory', backlog.clear());
    }
    if (ground.isBusy() || !ground.enter()) return lookAgain();
    running = true;
    const group = backlog.take(Math.max(1, version.preferredBatch));
    void runTogether(version, group).finally(() => {
      running = false;
      ground.leave();
    });
  }

  function lookAgain() {
    looking ??= setTimeout(() => {
      looking = undefined;
      proceed();
    }, lookMs).unref();
  }

  /** They run at once, and are compared one after the other. */
  async function runTogether(version: ServedVersion, group: readonly Answered[]): Promise<void> {
    const runs = group.map((answered) => run(version, answered));
    for (const [index, answered] of group.entries()) {
      const shadowed = await runs[index];
      if (shadowed === undefined) continue;
      const { request, outputs } = answered;
      const names = request.outputs.length > 0 ? request.outputs.map(({ name }) => name) : [...outputs.keys()];
      await tally.compare(answered, shadowed, names).catch(missed);
    }
  }

  /** Undefined where it could not be run, which is counted. */
  async function run(version: ServedVersion, { request }: Answered): Promise<Shadowed | undefined> {
    const begun = performance.now();
    let ran: { readonly outputs: Tensors; readonly executionMs: number } | undefined;
    try {
      await version.infer(asShadow(request, version), {
        background: true,
        deadline: Date.now() + patienceMs,
        observe: (outputs, executionMs) => (ran = { outputs, executionMs }),
      });
      return { ...ran!, answerMs: performance.now() - begun };
    } catch (error) {
      missed(error);
      return undefined;
    }
  }

  function missed(error: unknown) {
    const cause = error instanceof Error && error.cause instanceof RunnerError ? error.cause : undefined;
    const never = cause === undefined && error instanceof RpcError ? reasons.get(error.code) : undefined;
    if (never !== undefined) return tally.drop(never);
    tally.fail(error instanceof Error ? error.message : String(error));
    if (cause === undefined) return;
    restsUntil = performance.now() + restMs;
    tally.drop('resting', backlog.clear());
  }

  function over(served: ServedVersion): ServedVersion {
    const known = shadowed.get(served);
    if (known !== undefined) return known;
    const infer: ServedVersion['infer'] = async (request, caller) => {
      let ran: { readonly outputs: Tensors; readonly executionMs: number } | undefined;
      const begun = performance.now();
      const picked = isPicked();
      const observe = (outputs: Tensors, executionMs: number) => (ran = { outputs: new Map(outputs), executionMs });
      const answer = await served.infer(request, picked ? { ...caller, observe } : caller);
      tally.counts.answered++;
      if (picked && ran !== undefined) {
        tally.counts.picked++;
        take({ request, ...ran, batched: served.batched, answerMs: performance.now() - begun });
      }
      return answer;
    };
    const wrapped = Object.assign(Object.create(served) as ServedVersion, { infer }); // all else stays as it is there
    shadowed.set(served, wrapped);
    return wrapped;
  }

  return {
    setting,
    tally,
    over,
    proceed,
    [Symbol.dispose]() {
      ended = true;
      clearImmediate(planned);
      clearTimeout(looking);
      backlog.clear();
    },
  };
}

/** What says that the shadow was not run, by status. */
const reasons: ReadonlyMap<status, DropReason> = new Map([
  [status.RESOURCE_EXHAUSTED, 'busy'],
  [status.DEADLINE_EXCEEDED, 'busy'],
  [status.FAILED_PRECONDITION, 'not_in_memory'],
  [status.UNAVAILABLE, 'not_loaded'],
]);

/** The same inputs, for the outputs that the shadow has. Its priority and classification are the caller's business. */
function asShadow(request: inference.ModelInferRequest, { version, outputs }: ServedVersion) {
  const asked = request.outputs.filter(({ name }) => outputs.has(name)).map(({ name }) => ({ name, parameters: {} }));
  return { ...request, modelVersion: version, parameters: {}, outputs: asked };
}
