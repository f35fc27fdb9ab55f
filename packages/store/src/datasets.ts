import type { datasets } from '@modelmill/contracts';

/** A dataset version without what the store gives it. */
export type NewDatasetVersion = Omit<datasets.DatasetVersion, 'version' | 'createdAt'>;

/** Datasets with their versions. A missing one throws NotFoundError. */
export interface DatasetStore {
  /** Stores it as the next version and publishes `registered`. */
  add(version: NewDatasetVersion): Promise<datasets.DatasetVersion>;
  /** Ordered by name. */
  list(): Promise<datasets.Dataset[]>;
  get(name: string): Promise<datasets.Dataset>;
  /** Empty: the newest. */
  version(name: string, version: string): Promise<datasets.DatasetVersion>;
  remove(name: string): Promise<void>;
}
