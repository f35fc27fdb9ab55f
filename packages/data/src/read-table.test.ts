import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readTable } from './read-table.js';
import { rowsOf } from './table.js';
import type { Table } from './table.js';

const root = resolve(__dirname, '../../..');
const shared = resolve(root, '../shared/data');
const contentOf = (table: Table) =>
  rowsOf(
    table,
    Uint32Array.from({ length: table.rows }, (_, row) => row),
  );
const headless = { kind: 'csv', header: false, target: '' } as const;

describe('readTable', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'mill-data-'))));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (content: string | Buffer) => {
    const path = join(folder, 'content');
    writeFileSync(path, content);
    return path;
  };

  it('reads the digits: 1,797 rows of 64 pixels from 0 to 16, ten classes', async () => {
    const table = await readTable(join(root, 'examples/data/digits.csv.gz'), headless);
    expect(table).toMatchObject({ rows: 1797, featureShape: [64], target: 'c64' });
    expect(table.classes).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    expect(Math.max(...contentOf(table).features)).toBe(16);
    expect([...contentOf(table).targets.subarray(0, 3)]).toEqual([0, 1, 2]);
  });

  it('takes classes of text in order, and numbers of many values as numbers', async () => {
    const classes = await readTable(file('1,b\n2,a\n3,b\n'), headless);
    expect(classes).toMatchObject({ classes: ['a', 'b'] });
    expect([...contentOf(classes).targets]).toEqual([1, 0, 1]);
    const numbers = await readTable(file('x,y\n1,0.5\n2,1.5\n'), { kind: 'csv', header: true, target: 'y' });
    expect(numbers).toMatchObject({ classes: undefined, featureNames: ['x'] });
  });

  it.each([
    ['a,b,y\n1,2,x\n3,four,y\n', /row 3, column 'b': got 'four', wanted a number/],
    ['a,b,y\n1,2,x\n3,4\n', /row 3: got 2 columns, wanted 3/],
    ['a,b,y\n1,1e999,x\n', /row 2, column 'b': got '1e999'/],
    ['a,b,y\n1,0x10,x\n', /row 2, column 'b': got '0x10'/],
    ['a,b,y\n1,2,\n', /row 2, column 'y': got ''/],
    ['a,b,y\n1,"2,x\n', /row 2: .*[Qq]uote/],
    ['a,b,y\n', /got 0 rows/],
    ['a,a,y\n1,2,x\n', /column 'a' is there twice/],
    ['a,b,y\n1,2,x\n', /has 1 class, wanted at least 2/],
  ])('refuses %j', (content, reason) =>
    expect(readTable(file(content), { kind: 'csv', header: true, target: 'y' })).rejects.toThrow(reason),
  );

  it('names a target that is no column', () =>
    expect(readTable(file('a,b\n1,2\n'), { kind: 'csv', header: true, target: 'z' })).rejects.toThrow(
      "there is no column 'z', got a, b",
    ));

  it('stops a gzip bomb at the limit', () =>
    expect(
      readTable(file(gzipSync(Buffer.alloc(10_000_000, '1,2\n'))), headless, { decodedBytes: 1e6 }),
    ).rejects.toThrow('more than 1000000 bytes'));

  it('refuses damaged gzip', () =>
    expect(readTable(file(gzipSync('1,2\n').subarray(0, 12)), headless)).rejects.toThrow('damaged gzip'));

  it('reads IDX images and labels, gzip or not', async () => {
    const images = Buffer.from([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4]);
    const labels = gzipSync(Buffer.from([0, 0, 8, 1, 0, 0, 0, 2, 1, 0]));
    const table = await readTable(file(Buffer.concat([images, labels])), { kind: 'idx', imagesBytes: images.length });
    expect(table).toMatchObject({ rows: 2, featureShape: [1, 2], classes: ['0', '1'] });
    expect([...contentOf(table).features]).toEqual([1, 2, 3, 4]);
    expect([...contentOf(table).targets]).toEqual([1, 0]);
  });

  const mnist = join(shared, 'mnist-10k/t10k-images-idx3-ubyte.gz');
  (existsSync(mnist) ? it : it.skip)('reads MNIST (skipped: needs ../shared/data)', async () => {
    const images = readFileSync(mnist);
    const labels = readFileSync(join(shared, 'mnist-10k/t10k-labels-idx1-ubyte.gz'));
    const table = await readTable(file(Buffer.concat([images, labels])), { kind: 'idx', imagesBytes: images.length });
    expect(table).toMatchObject({ rows: 10_000, featureShape: [28, 28] });
    expect(contentOf(table).targets[0]).toBe(7);
  });
});
