import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { KV } from '@nats-io/kv';
import { nanos } from '@nats-io/transport-node';
import type { JobKind } from './job-kind.js';
import { maxRecordBytes } from './record-table.js';

export const eventStream = 'MILL_EVENTS';
export const jobStream = 'MILL_JOBS';
export const deadStream = 'MILL_DEAD';
export const jobSubject = (kind: JobKind) => `mill.job.${kind}`;
export const deadSubject = (kind: JobKind) => `mill.dead.${kind}`;

const mebibyte = 2 ** 20;
const duplicateWindow = nanos(120_000);
const file = { storage: StorageType.File, duplicate_window: duplicateWindow } as const;

const streams = [
  {
    name: eventStream,
    subjects: ['mill.event.>'],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_bytes: 128 * mebibyte,
    max_age: nanos(30 * 24 * 3_600_000),
    ...file,
  },
  {
    name: jobStream,
    subjects: ['mill.job.*'],
    retention: RetentionPolicy.Workqueue,
    discard: DiscardPolicy.New,
    max_bytes: 16 * mebibyte,
    max_msgs: 100_000,
    max_msg_size: 4_096,
    ...file,
  },
  {
    name: deadStream,
    subjects: ['mill.dead.*'],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_bytes: 16 * mebibyte,
    ...file,
  },
];

export const bucketNames = ['mill_models', 'mill_datasets', 'mill_jobs', 'mill_replicas'] as const;
export type BucketName = (typeof bucketNames)[number];

const bucketBytes: Record<BucketName, number> = {
  mill_models: 64 * mebibyte,
  mill_datasets: 16 * mebibyte,
  mill_jobs: 128 * mebibyte,
  mill_replicas: 4 * mebibyte,
};

/** Silence after which the server forgets a replica. */
export const replicaTtlMs = 8_000;

/** Makes what is missing and leaves what is there. */
export async function ensureStreams(js: JetStreamClient, jsm: JetStreamManager): Promise<Record<BucketName, KV>> {
  for (const config of streams) {
    await jsm.streams.info(config.name).catch(async (error: unknown) => {
      if (!isMissing(error)) throw error;
      await jsm.streams.add(config);
    });
  }
  const kvm = new Kvm(js);
  const open = (name: BucketName) =>
    kvm.create(name, {
      history: 1,
      max_bytes: bucketBytes[name],
      maxValueSize: maxRecordBytes,
      allow_direct: false, // only the leader answers: who has written reads what it wrote
      ...(name === 'mill_replicas' ? { ttl: replicaTtlMs } : {}),
    });
  return {
    mill_models: await open('mill_models'),
    mill_datasets: await open('mill_datasets'),
    mill_jobs: await open('mill_jobs'),
    mill_replicas: await open('mill_replicas'),
  };
}

/** The durable consumer that all workers of a kind share; brings its ack wait in line. */
export async function ensureJobConsumer(jsm: JetStreamManager, kind: JobKind, ackWaitMs: number): Promise<string> {
  const name = `mill_${kind}`;
  const config = { ack_wait: nanos(ackWaitMs) };
  try {
    const { config: now } = await jsm.consumers.info(jobStream, name);
    if (now.ack_wait !== config.ack_wait) await jsm.consumers.update(jobStream, name, config);
  } catch (error) {
    if (!isMissing(error)) throw error;
    await jsm.consumers.add(jobStream, {
      durable_name: name,
      filter_subject: jobSubject(kind),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      max_deliver: -1, // tries are counted in the job's record: the server would leave an exhausted message unseen
      max_ack_pending: 1_000,
      ...config,
    });
  }
  return name;
}

export const isMissing = (error: unknown): boolean => error instanceof JetStreamApiError && error.status === 404;
