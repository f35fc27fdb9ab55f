import { createChannel, createUnaryConnection } from '@modelmill/client';
import type { Channel, UnaryConnection } from '@modelmill/client';
import type { Replica, Replicas } from '@modelmill/store';
import { noReplica } from './errors.js';
import type { Named } from './model-name.js';

/** One replica with the calls that are under way to it. */
export interface Target {
  readonly replica: Replica;
  /** For streams. */
  readonly channel: Channel;
  readonly unary: UnaryConnection;
  inFlight: number;
}

/** The replicas of one service. Knows them without NATS, too: then those it knew last. */
export interface ReplicaSet extends Disposable {
  readonly service: string;
  /**
   * Of two random replicas that serve the model, the one with fewer calls under way: of those that have it in memory, unless
   * they are so much busier that loading it is worth it. Throws UNAVAILABLE.
   */
  pick(named?: Named, except?: Target): Target;
  all(): Target[];
  /** Whether some replica answers for the model. */
  serves(named: Named): boolean;
}

/** `unsure`: the registry was away of late, so that silence says nothing. */
export async function followReplicas(
  service: string,
  replicas: Replicas,
  unsure: () => boolean,
  onTrouble: (error: unknown) => void,
): Promise<ReplicaSet> {
  const targets = new Map<string, Target>();
  let listed: Target[] = [];
  let again = false;
  let listing: Promise<void> | undefined;
  let closed = false;

  async function list(): Promise<void> {
    try {
      const now = await replicas.list(service);
      if (closed) return;
      if (now.length < listed.length && unsure()) return;
      listed = now.map(targetOf);
      forget(new Set(listed));
    } catch (error) {
      if (!closed) onTrouble(error);
    }
  }

  function refresh() {
    if (listing) return void (again = true);
    listing = list().finally(() => {
      listing = undefined;
      if (again && !closed) refresh();
      again = false;
    });
  }

  function targetOf(replica: Replica): Target {
    const known = targets.get(replica.address);
    const target: Target = known ? Object.assign(known, { replica }) : open(replica);
    targets.set(replica.address, target);
    return target;
  }

  function forget(present: ReadonlySet<Target>) {
    for (const [address, target] of targets) {
      if (present.has(target) || target.inFlight > 0) continue; // its last answers are on the way
      targets.delete(address);
      close(target);
    }
  }

  await list();
  const watching = replicas.watch(refresh);
  const timer = setInterval(refresh, 5_000);
  return {
    service,
    pick(named, except) {
      const serving = named?.model ? listed.filter((target) => answersFor(target, named)) : listed;
      // where nobody serves it, anybody can say why
      const able = serving.length > 0 ? serving : listed;
      const others = able.filter((target) => target !== except);
      const candidates = others.length > 0 ? others : able;
      if (candidates.length === 0) throw noReplica(service);
      const warm = named?.model ? candidates.filter((target) => answersFor(target, named, true)) : candidates;
      if (warm.length === 0) return lessBusy(candidates)!;
      const best = lessBusy(warm)!;
      if (warm.length === candidates.length) return best;
      const cold = lessBusy(candidates.filter((target) => !warm.includes(target)))!;
      return best.inFlight > cold.inFlight + coldCalls ? cold : best;
    },
    all: () => [...listed],
    serves: (named) => listed.some((target) => answersFor(target, named)),
    [Symbol.dispose]() {
      closed = true;
      clearInterval(timer);
      void watching[Symbol.asyncDispose](); // ends when the store closes, where NATS is away
      for (const target of targets.values()) close(target);
    },
  };
}

const open = (replica: Replica): Target => ({
  replica,
  channel: createChannel({ address: replica.address }),
  unary: createUnaryConnection(replica.address, { pingsWhileIdle: true }),
  inFlight: 0,
});

function close({ channel, unary }: Target): void {
  channel.raw.close();
  unary[Symbol.dispose]();
}

/** Calls under way that a load is worth. */
const coldCalls = 16;

const answersFor = ({ replica }: Target, { model, version }: Named, fromMemory = false) =>
  replica.models.some(
    (held) =>
      held.model === model &&
      (version === '' || held.version === version || held.labels.includes(version)) &&
      !(fromMemory && held.cold === true),
  );

function lessBusy(targets: readonly Target[]): Target | undefined {
  const [one, other] = twoOf(targets);
  return one !== undefined && other !== undefined && other.inFlight < one.inFlight ? other : one;
}

function twoOf<T>(all: readonly T[]): [T | undefined, T | undefined] {
  const first = Math.floor(Math.random() * all.length);
  if (all.length < 2) return [all[0], undefined];
  return [all[first], all[(first + 1 + Math.floor(Math.random() * (all.length - 1))) % all.length]];
}
