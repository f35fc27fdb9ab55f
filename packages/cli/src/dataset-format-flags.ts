import type { datasets as contract } from '@modelmill/client';
import { UsageError } from './cli-error.js';

/** What `mill datasets upload` says of how its files are read. */
export interface FormatFlags {
  readonly format?: string | undefined;
  readonly header: boolean;
  readonly target: string;
  readonly features: string;
  readonly ignore: string;
  readonly categorical: string;
  readonly missing: string;
}

const endings = { csv: 'csv', ndjson: 'ndjson', jsonl: 'ndjson', txt: 'text', npy: 'npy' } as const;
const formats = ['csv', 'ndjson', 'text', 'idx', 'npy'] as const;

/** The format of one file, or of a pair whose first file has so many bytes. */
export function formatFrom(
  flags: FormatFlags,
  paths: readonly string[],
  firstBytes: number,
): contract.DatasetVersion['format'] {
  const { format = formatOfName(paths), header, target } = flags;
  const isPair = format === 'idx' || format === 'npy';
  if (isPair !== (paths.length === 2)) {
    throw new UsageError(`${format} wants ${isPair ? 'two files, features and targets' : 'one file'}`);
  }
  const columns = {
    features: namesIn(flags.features),
    ignored: namesIn(flags.ignore),
    categorical: namesIn(flags.categorical),
    missing: flags.missing,
  };
  switch (format) {
    case 'csv':
      return { $case: 'csv', csv: { header, target, columns } };
    case 'ndjson':
      return { $case: 'ndjson', ndjson: { target, columns } };
    case 'text':
      return { $case: 'text', text: {} };
    case 'idx':
      return { $case: 'idx', idx: { imagesBytes: BigInt(firstBytes) } };
    case 'npy':
      return { $case: 'npy', npy: { featuresBytes: BigInt(firstBytes) } };
    default:
      throw new UsageError(`--format is '${format}', wanted one of ${formats.join(', ')}`);
  }
}

function formatOfName(paths: readonly string[]): (typeof formats)[number] {
  const ending = /\.([a-z]+)(?:\.gz)?$/.exec(paths[0]!)?.[1] ?? '';
  const known = Object.entries(endings).find(([name]) => name === ending)?.[1];
  return known ?? (paths.length === 2 ? 'idx' : 'csv');
}

const namesIn = (list: string) => (list === '' ? [] : list.split(',').map((name) => name.trim()));
