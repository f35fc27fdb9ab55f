import { createChannel } from '@modelmill/client';
import type { Channel } from '@modelmill/client';
import type { Replica, Replicas } from '@modelmill/store';
import { noReplica } from './errors.js';
import type { Named } from './model-name.js';
import { createUnaryConnection } from './unary-connection.js';
import type { UnaryConnection } from './unary-connection.js';

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
  /** Of two random replicas that serve the model, the one with fewer calls under way. Throws UNAVAILABLE. */
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
      const [one, other] = twoOf(candidates);
      if (one === undefined) throw noReplica(service);
      return other !== undefined && other.inFlight < one.inFlight ? other : one;
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
  unary: createUnaryConnection(replica.address),
  inFlight: 0,
});

function close({ channel, unary }: Target): void {
  channel.raw.close();
  unary[Symbol.dispose]();
}

const answersFor = ({ replica }: Target, { model, version }: Named) =>
  replica.models.some(
    (held) => held.model === model && (version === '' || held.version === version || held.labels.includes(version)),
  );

function twoOf<T>(all: readonly T[]): [T | undefined, T | undefined] {
  const first = Math.floor(Math.random() * all.length);
  if (all.length < 2) return [all[0], undefined];
  return [all[first], all[(first + 1 + Math.floor(Math.random() * (all.length - 1))) % all.length]];
}
