import type { datasets } from '@modelmill/client';
import { count } from './terminal/format.js';

/** What a reader of the data should know of columns that are not plain numbers, a line each. */
export function columnNotes(columns: readonly datasets.DatasetColumn[]): string[] {
  return columns.flatMap(({ name, categories, missing, fill }) => {
    const notes = [
      ...(categories.length > 0
        ? [categories.length === 1 ? '1 category' : `${count(categories.length)} categories`]
        : []),
      ...(missing > 0n ? [`${count(missing)} missing${fill === undefined ? '' : `, taken for ${fill}`}`] : []),
    ];
    return notes.length > 0 ? [`${name}: ${notes.join(', ')}`] : [];
  });
}
