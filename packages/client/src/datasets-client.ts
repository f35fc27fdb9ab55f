import { datasets } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { present } from './present.js';
import { openUpload } from './upload.js';
import type { Content } from './upload.js';

const { DatasetsService: methods } = datasets;

type StatedHeader = NonNullable<Parameters<typeof datasets.UploadDatasetHeader.fromPartial>[0]>;

export interface DatasetUpload {
  readonly dataset: string;
  readonly content: Content;
  /** Unset: CSV without a header whose last column is the target. Fields left out have their defaults. */
  readonly format?: StatedHeader['format'];
  /** Unset: 0.8 train, 0.2 test, seed 0. */
  readonly splits?: datasets.Splits | undefined;
  /** As in VersionUpload. */
  readonly sha256?: string | undefined;
}

/** Datasets and their versions. */
export function createDatasetsClient(channel: Channel) {
  return {
    /** Stores the content as the dataset's next version. A bad row is INVALID_ARGUMENT with its number and column. */
    async upload(
      { dataset, content, format, splits, sha256 }: DatasetUpload,
      options?: CallOptions,
    ): Promise<datasets.DatasetVersion> {
      const upload = openUpload(content, sha256);
      const header = datasets.UploadDatasetHeader.fromPartial({
        dataset,
        sha256: upload.stated,
        format: format ?? { $case: 'csv', csv: {} },
        ...(splits ? { splits } : {}),
      });
      async function* requests(): AsyncGenerator<datasets.UploadDatasetRequest> {
        yield { content: { $case: 'header', header } };
        for await (const chunk of upload.chunks()) yield { content: { $case: 'chunk', chunk } };
      }
      const answer = await channel.clientStream(methods.uploadDataset, requests(), options);
      const version = present(answer.version, 'version');
      upload.verify(version.artifactSha256);
      return version;
    },
    async list(options?: CallOptions): Promise<datasets.Dataset[]> {
      return (await channel.unary(methods.listDatasets, {}, { ...options, safe: true })).datasets;
    },
    async get(dataset: string, options?: CallOptions): Promise<datasets.Dataset> {
      return present(
        (await channel.unary(methods.getDataset, { dataset }, { ...options, safe: true })).dataset,
        'dataset',
      );
    },
    /** The first rows; `version` empty means the newest, `rows` 0 means 10. */
    async preview(
      dataset: string,
      { version = '', rows = 0 }: { version?: string; rows?: number } = {},
      options?: CallOptions,
    ): Promise<datasets.PreviewRow[]> {
      return (await channel.unary(methods.previewDataset, { dataset, version, rows }, { ...options, safe: true })).rows;
    },
    async delete(dataset: string, options?: CallOptions): Promise<void> {
      await channel.unary(methods.deleteDataset, { dataset }, options);
    },
  };
}

export type DatasetsClient = ReturnType<typeof createDatasetsClient>;
