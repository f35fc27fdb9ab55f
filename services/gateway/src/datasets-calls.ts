import { datasets as contract } from '@modelmill/contracts';
import type { datasets } from '@modelmill/contracts';
import { DatasetError, datasetFormat } from '@modelmill/data';
import type { DatasetFormat } from '@modelmill/data';
import type { Store } from '@modelmill/store';
import type { DatasetSummary, DatasetTask } from './dataset-worker.js';
import * as errors from './errors.js';
import { checkName, openUpload, storeUpload } from './uploads.js';
import type { UploadLimits } from './uploads.js';
import { callWorker } from './worker-call.js';

export interface DatasetsDeps {
  readonly store: Pick<Store, 'datasets' | 'artifacts'>;
  readonly limits: UploadLimits;
}

const datasetWorker = new URL('../dist/dataset-worker.js', import.meta.url);
const readingLimits = { timeoutMs: 120_000, heapMb: 4096 };
const shownRows = { byDefault: 10, most: 100 };
const defaultSplits: datasets.Splits = { train: 0.8, validation: 0, test: 0.2, seed: 0n };

const read = (task: DatasetTask) =>
  callWorker<DatasetSummary>(datasetWorker, task, readingLimits, errors.unreadableDataset);

/** Datasets, on the store. */
export function datasetsCalls({ store, limits }: DatasetsDeps) {
  const { datasets: known, artifacts } = store;

  async function upload(messages: AsyncIterable<datasets.UploadDatasetRequest>) {
    const { header, chunks } = await openUpload(messages, limits);
    return uploadChunks(header, chunks);
  }

  async function uploadChunks(header: datasets.UploadDatasetHeader, chunks: AsyncIterable<Uint8Array>) {
    const { dataset, sha256, format, splits = defaultSplits } = header;
    checkName('dataset', dataset);
    checkSplits(splits);
    const readAs = formatOf(format);
    const version = await storeUpload(artifacts, chunks, sha256, limits, async (artifact) => {
      const summary = await read({ path: await artifacts.path(artifact.sha256), format: readAs, rows: 0 });
      return known.add({
        dataset,
        artifactSha256: artifact.sha256,
        sizeBytes: BigInt(artifact.size),
        rows: BigInt(summary.rows),
        format,
        schema: contract.DatasetSchema.fromPartial({
          featureShape: summary.featureShape.map(BigInt),
          featureNames: [...summary.featureNames],
          target: summary.target,
          classes: [...(summary.classes ?? [])],
          columns: summary.columns.map(({ name, categories, missing, fill }) => ({
            name,
            categories: [...(categories ?? [])],
            missing: BigInt(missing),
            fill,
          })),
        }),
        splits,
      });
    });
    return { version };
  }

  async function preview({ dataset, version, rows }: datasets.PreviewDatasetRequest) {
    if (rows > shownRows.most) throw errors.tooManyRows(rows, shownRows.most);
    const { artifactSha256, format } = await known.version(dataset, version);
    const path = await artifacts.path(artifactSha256);
    const { first } = await read({ path, format: formatOf(format), rows: rows || shownRows.byDefault });
    return { rows: [...first] };
  }

  return {
    uploadDataset: upload,
    uploadChunks,
    listDatasets: async (_: datasets.ListDatasetsRequest) => ({ datasets: await known.list() }),
    getDataset: async ({ dataset }: datasets.GetDatasetRequest) => ({ dataset: await known.get(dataset) }),
    previewDataset: preview,
    deleteDataset: async ({ dataset }: datasets.DeleteDatasetRequest) => {
      await known.remove(dataset);
      return {};
    },
  };
}

export type DatasetsCalls = ReturnType<typeof datasetsCalls>;

function formatOf(format: datasets.UploadDatasetHeader['format']): DatasetFormat {
  if (format === undefined) throw errors.formatMissing();
  try {
    return datasetFormat(format);
  } catch (error) {
    throw error instanceof DatasetError ? errors.unreadableDataset(error.message) : error;
  }
}

function checkSplits({ train, validation, test }: datasets.Splits): void {
  const parts = { train, validation, test };
  for (const [name, part] of Object.entries(parts)) {
    if (!(part >= 0 && part <= 1)) throw errors.badSplits(`${name} is ${part}, wanted a share from 0 to 1`);
  }
  if (train === 0) throw errors.badSplits('train is 0, wanted more');
  const sum = train + validation + test;
  if (Math.abs(sum - 1) > 1e-6) throw errors.badSplits(`train, validation and test sum to ${sum}, wanted 1`);
}
