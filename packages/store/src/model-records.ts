import { registry } from '@modelmill/contracts';
import { z } from 'zod';
import type { WithOutbox } from './outbox.js';
import type { RecordForm } from './record-table.js';

/** What a model's key holds. Its versions have keys of their own, so that a record stays below NATS's message size. */
export interface ModelRecord extends WithOutbox {
  readonly kind: 'model';
  /** Counts up, also over deletions: a number is never given twice. */
  readonly nextVersion: number;
  /** Which number a registration was given, by job or, for an upload, by a random id. */
  readonly numbers: Readonly<Record<string, number>>;
  readonly deletedVersions: readonly number[];
  readonly labels: readonly registry.Label[];
  readonly deleted: boolean;
}

/** What a version's key holds. */
export interface VersionRecord extends WithOutbox {
  readonly kind: 'version';
  readonly version: registry.Version;
  /** The label that moves here on admission; empty: none. */
  readonly label: string;
}

export type RegistryRecord = ModelRecord | VersionRecord;

export const outbox = z.array(z.object({ subject: z.string(), data: z.looseObject({}), msgId: z.string() }));

const stored = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('model'),
    nextVersion: z.number().int(),
    numbers: z.record(z.string(), z.number().int()),
    deletedVersions: z.array(z.number().int()),
    labels: z.array(z.unknown().transform((json) => registry.Label.fromJSON(json))),
    deleted: z.boolean(),
    outbox,
  }),
  z.object({
    kind: z.literal('version'),
    version: z.unknown().transform((json) => registry.Version.fromJSON(json)),
    label: z.string(),
    outbox,
  }),
]);

/** Contract types are kept in their proto3 JSON. */
export const registryForm: RecordForm<RegistryRecord> = {
  read: (json) => stored.parse(json),
  write: (record) =>
    record.kind === 'model'
      ? { ...record, labels: record.labels.map((label) => registry.Label.toJSON(label)) }
      : { ...record, version: registry.Version.toJSON(record.version) },
};

export const newModel: ModelRecord = {
  kind: 'model',
  nextVersion: 1,
  numbers: {},
  deletedVersions: [],
  labels: [],
  deleted: false,
  outbox: [],
};

export const versionKey = (model: string, version: number | string) => `${model}.${version}`;
