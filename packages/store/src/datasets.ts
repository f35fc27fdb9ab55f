import { randomUUID } from 'node:crypto';
import { datasets } from '@modelmill/contracts';
import { z } from 'zod';
import { NotFoundError } from './errors.js';
import type { Events } from './event.js';
import { outbox } from './model-records.js';
import { checkName, isName, isVersionNumber } from './names.js';
import { changeAndTell, withEvent } from './outbox.js';
import type { WithOutbox } from './outbox.js';
import type { RecordForm, RecordTable } from './record-table.js';

/** A dataset version without what the store gives it. */
export type NewDatasetVersion = Omit<datasets.DatasetVersion, 'version' | 'createdAt'>;

/** Datasets with their versions. A missing one throws NotFoundError. */
export interface DatasetStore {
  /** Stores it as the next version and publishes `registered`. Throws InvalidNameError. */
  add(version: NewDatasetVersion): Promise<datasets.DatasetVersion>;
  /** Ordered by name. */
  list(): Promise<datasets.Dataset[]>;
  get(name: string): Promise<datasets.Dataset>;
  /** Empty: the newest. */
  version(name: string, version: string): Promise<datasets.DatasetVersion>;
  remove(name: string): Promise<void>;
}

/** A dataset with all its versions; removed, it keeps its next number, so that none is given twice. */
export interface DatasetRecord extends WithOutbox {
  readonly nextVersion: number;
  readonly versions: readonly { readonly added: string; readonly version: datasets.DatasetVersion }[];
}

const stored = z.object({
  nextVersion: z.number().int(),
  versions: z.array(
    z.object({
      added: z.string(),
      version: z.unknown().transform((json) => datasets.DatasetVersion.fromJSON(json)),
    }),
  ),
  outbox,
});

export const datasetForm: RecordForm<DatasetRecord> = {
  read: (json) => stored.parse(json),
  write: (record) => ({
    ...record,
    versions: record.versions.map(({ added, version }) => ({
      added,
      version: datasets.DatasetVersion.toJSON(version),
    })),
  }),
};

export function createDatasetStore(table: RecordTable<DatasetRecord>, events: Events): DatasetStore {
  async function get(name: string): Promise<datasets.Dataset> {
    const entry = isName(name) ? await table.get(name) : undefined;
    if (entry === undefined || entry.record.versions.length === 0) throw datasetNotFound(name);
    return datasetOf(name, entry.record);
  }

  return {
    get,
    async add(wanted) {
      const name = wanted.dataset;
      checkName('dataset', name);
      const added = randomUUID();
      const entry = await changeAndTell(table, events, name, (now = { nextVersion: 1, versions: [], outbox: [] }) => {
        if (now.versions.some((known) => known.added === added)) return undefined;
        const version = { ...wanted, version: String(now.nextVersion), createdAt: new Date() };
        const next = { ...now, nextVersion: now.nextVersion + 1, versions: [...now.versions, { added, version }] };
        return withEvent(next, registered(version));
      });
      return entry!.record.versions.find((known) => known.added === added)!.version;
    },
    async list() {
      const kept = (await table.list()).filter(({ record }) => record.versions.length > 0);
      return kept.map(({ key, record }) => datasetOf(key, record)).sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async version(name, number) {
      const { versions } = await get(name);
      const found = number === '' ? versions.at(-1) : versions.find(({ version }) => version === number);
      if (found === undefined || (number !== '' && !isVersionNumber(number))) {
        throw new NotFoundError(`dataset '${name}' has no version '${number.slice(0, 80)}'`);
      }
      return found;
    },
    async remove(name) {
      if (!isName(name)) throw datasetNotFound(name);
      let found = false;
      await table.change(name, (now) => {
        if (now === undefined || now.versions.length === 0) return undefined;
        found = true;
        return { ...now, versions: [] };
      });
      if (!found) throw datasetNotFound(name);
    },
  };
}

const datasetOf = (name: string, { versions }: DatasetRecord): datasets.Dataset => ({
  name,
  versions: versions.map(({ version }) => version),
});

function registered(version: datasets.DatasetVersion) {
  const subject = `dataset.${version.dataset}.${version.version}.registered`;
  const { dataset, rows, artifactSha256 } = version;
  const data = { dataset, version: version.version, rows: Number(rows), sha256: artifactSha256 };
  return { subject, data, msgId: subject };
}

const datasetNotFound = (name: string) => new NotFoundError(`dataset '${name.slice(0, 80)}' does not exist`);
