import { UsageError } from './cli-error.js';
import { formatFrom } from './dataset-format-flags.js';
import type { FormatFlags } from './dataset-format-flags.js';

const none: FormatFlags = { header: false, target: '', features: '', ignore: '', categorical: '', missing: '' };

describe('the format of an upload', () => {
  it.each([
    [['rows.csv.gz'], 'csv'],
    [['rows'], 'csv'],
    [['rows.ndjson'], 'ndjson'],
    [['rows.jsonl.gz'], 'ndjson'],
    [['play.txt'], 'text'],
    [['x.npy', 'y.npy'], 'npy'],
    [['images-idx3-ubyte.gz', 'labels-idx1-ubyte.gz'], 'idx'],
  ])('of %j is %s', (paths, format) => expect(formatFrom(none, paths, 5)?.$case).toBe(format));

  it('has the columns that the flags name', () => {
    const flags = { ...none, header: true, target: 'y', features: 'a, b', categorical: 'b', missing: 'mean' };
    expect(formatFrom(flags, ['rows.csv'], 5)).toEqual({
      $case: 'csv',
      csv: {
        header: true,
        target: 'y',
        columns: { features: ['a', 'b'], ignored: [], categorical: ['b'], missing: 'mean' },
      },
    });
  });

  it('says where the second file of a pair begins', () =>
    expect(formatFrom(none, ['x.npy', 'y.npy'], 5)).toEqual({ $case: 'npy', npy: { featuresBytes: 5n } }));

  it.each([
    [{ format: 'parquet' }, ['rows.parquet'], "--format is 'parquet', wanted one of csv, ndjson, text, idx, npy"],
    [{}, ['x.npy'], 'npy wants two files, features and targets'],
    [{ format: 'csv' }, ['a.csv', 'b.csv'], 'csv wants one file'],
  ])('is refused as %j of %j', (flags, paths, reason) => {
    expect(() => formatFrom({ ...none, ...flags }, paths, 5)).toThrow(UsageError);
    expect(() => formatFrom({ ...none, ...flags }, paths, 5)).toThrow(reason);
  });
});
