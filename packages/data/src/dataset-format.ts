import { missingRules } from './column-roles.js';
import type { ColumnRoles, MissingRule } from './column-roles.js';
import type { CsvFormat } from './csv.js';
import type { IdxFormat } from './idx.js';
import type { NdjsonFormat } from './ndjson.js';
import type { NpyFormat } from './npy.js';
import { DatasetError } from './table.js';
import type { TextFormat } from './text.js';

/** How content is read. Plain JSON. */
export type DatasetFormat = CsvFormat | NdjsonFormat | IdxFormat | NpyFormat | TextFormat;

/** Column roles as the contract (modelmill.v1.ColumnRoles) words them. */
export interface StatedRoles {
  readonly features: readonly string[];
  readonly ignored: readonly string[];
  readonly categorical: readonly string[];
  readonly missing: string;
}

/** The format of a dataset as the contract words it. */
export type StatedFormat =
  | {
      readonly $case: 'csv';
      readonly csv: { readonly header: boolean; readonly target: string; readonly columns?: StatedRoles | undefined };
    }
  | {
      readonly $case: 'ndjson';
      readonly ndjson: { readonly target: string; readonly columns?: StatedRoles | undefined };
    }
  | { readonly $case: 'idx'; readonly idx: { readonly imagesBytes: bigint } }
  | { readonly $case: 'npy'; readonly npy: { readonly featuresBytes: bigint } }
  | { readonly $case: 'text' };

/** The format that is stated. Throws DatasetError for a word it does not know. */
export function datasetFormat(stated: StatedFormat): DatasetFormat {
  switch (stated.$case) {
    case 'csv':
      return { kind: 'csv', header: stated.csv.header, ...rolesOf(stated.csv) };
    case 'ndjson':
      return { kind: 'ndjson', ...rolesOf(stated.ndjson) };
    case 'idx':
      return { kind: 'idx', imagesBytes: Number(stated.idx.imagesBytes) };
    case 'npy':
      return { kind: 'npy', featuresBytes: Number(stated.npy.featuresBytes) };
    case 'text':
      return { kind: 'text' };
  }
}

function rolesOf({ target, columns }: { target: string; columns?: StatedRoles | undefined }): ColumnRoles {
  if (columns === undefined) return { target };
  const { features, ignored, categorical, missing } = columns;
  return { target, features, ignored, categorical, missing: missingRule(missing || 'refuse') };
}

function missingRule(word: string): MissingRule {
  const rule = missingRules.find((known) => known === word);
  if (rule === undefined) {
    throw new DatasetError(`columns.missing is '${word.slice(0, 60)}', wanted one of ${missingRules.join(', ')}`);
  }
  return rule;
}
