import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ColumnRoles } from './column-roles.js';
import { counterRandom } from './counter-random.js';
import { readTable } from './read-table.js';
import { rowsOf } from './table.js';
import type { Table, TableLimits } from './table.js';

const allOf = (table: Table) =>
  rowsOf(
    table,
    Uint32Array.from({ length: table.rows }, (_, row) => row),
  );

describe('a CSV file', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'mill-csv-'))));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (
    content: string | Uint8Array,
    roles: Partial<ColumnRoles> = {},
    limits: Partial<TableLimits> = {},
    header = true,
  ) => {
    const path = join(folder, 'content.csv');
    writeFileSync(path, content);
    return readTable(path, { kind: 'csv', header, target: 'y', ...roles }, limits);
  };
  const featuresOf = async (content: string, roles?: Partial<ColumnRoles>) => [
    ...allOf(await read(content, roles)).features,
  ];

  it('gives every number as float32 of what is written', async () => {
    const random = counterRandom(1n, 0);
    const digits = (count: number, at: number) =>
      [...random.uniform(at, count)].map((value) => Math.floor(value * 10)).join('');
    const texts = Array.from({ length: 3000 }, (_, i) => {
      const sign = ['', '-', '+'][i % 3];
      const fraction = i % 4 === 0 ? '' : `.${digits(i % 23, 2 * i)}`;
      const exponent = i % 5 === 0 ? `e${['', '-', '+'][i % 3]}${i % 11}` : '';
      return `${sign}${digits(1 + (i % 19), 2 * i + 1)}${fraction}${exponent}`;
    }).concat('5.', '.5', '-0', '9007199254740993', '0.1', '123456789.123456789', '3.4028235e38', '1e-50');
    const { features } = allOf(await read('x,y\n' + texts.map((text, i) => `${text},${i % 2}\n`).join('')));
    expect(features).toEqual(Float32Array.from(texts, Number));
  });

  it('may be quoted, have blanks, blank lines, a byte order mark and any line ends', async () => {
    const content = '\ufeff"a, ""x""" ,b,y\r\n 1 ,"2", no \n\n\t\r\n"3",\t4,"yes ""so"""\r5,6,no';
    const table = await read(content);
    expect(table).toMatchObject({ featureNames: ['a, "x"', 'b'], classes: ['no', 'yes "so"'] });
    expect([...allOf(table).features]).toEqual([1, 2, 3, 4, 5, 6]);
    const headless = await read('\ufeff1,2,a\r\n3,4,b\r\n', { target: '' }, {}, false);
    expect(headless.featureNames).toEqual(['c0', 'c1']);
  });

  it('is the same wherever it is read in parts, gzip or not', async () => {
    const lines = Array.from(
      { length: 60_000 },
      (_, i) => `${i},"n,\n${i % 7}",${-(i + 1) / 8},"${'é'.repeat(i % 50)}",${i % 3}`,
    );
    const content = `a,b,c,d,y\r\n${lines.join('\r\n')}`;
    for (const bytes of [Buffer.from(content), gzipSync(content)]) {
      const table = await read(bytes, { ignored: ['d'] });
      expect(table).toMatchObject({ rows: 60_000, classes: ['0', '1', '2'], featureShape: [9] });
      const { features, targets } = allOf(table);
      expect(targets).toEqual(Float32Array.from(lines, (_, i) => i % 3));
      const wanted = lines.flatMap((_, i) => [
        i,
        ...Array.from({ length: 7 }, (_, k) => Number(i % 7 === k)),
        -(i + 1) / 8,
      ]);
      expect(Buffer.compare(Buffer.from(features.buffer), Buffer.from(Float32Array.from(wanted).buffer))).toBe(0);
    }
  });

  it('has the same rows in a file as in memory, in whatever order they are asked for', async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `${i},${i % 3 ? i / 2 : ''},${'abc'[i % 3]},${i % 200}\n`);
    const content = `a,b,c,y\n${lines.join('')}`;
    using small = await read(content, { missing: 'mean' }, { memoryBytes: 0 });
    using large = await read(content, { missing: 'mean' });
    const rows = counterRandom(3n, 0).permutation(5000);
    for (const some of [rows, rows.slice(0, 64).sort(), Uint32Array.of(7, 7, 6, 4999, 0)]) {
      expect(rowsOf(small, some)).toEqual(rowsOf(large, some));
    }
    expect(rowsOf(large, Uint32Array.of(4)).features).toEqual(Float32Array.of(4, 2, 0, 1, 0));
  });

  describe('has columns', () => {
    it('to learn from, in the order given, and others to leave out', async () => {
      expect(await featuresOf('a,b,c,y\n1,2,3,4\n5,6,7,0.5\n', { features: ['c', 'a'] })).toEqual([3, 1, 7, 5]);
      expect(await featuresOf('a,b,c,y\n1,x,3,4\n5,9,7,0.5\n', { ignored: ['b'] })).toEqual([1, 3, 5, 7]);
      expect(await featuresOf('y,b\n1,2\n0,6\n')).toEqual([2, 6]);
    });

    it('of names, each category a feature of its own, sorted', async () => {
      const table = await read('a,b,y\n1,red,0\n2,blue,1\n3,red,0\n');
      expect(table).toMatchObject({
        featureShape: [3],
        featureNames: ['a', 'b=blue', 'b=red'],
        columns: [
          { name: 'a', categories: undefined },
          { name: 'b', categories: ['blue', 'red'] },
        ],
      });
      expect([...allOf(table).features]).toEqual([1, 0, 1, 2, 1, 0, 3, 0, 1]);
    });

    it('of numbers that are names, where they are named so', async () => {
      const table = await read('a,y\n20,0\n3,1\nx,0\n', { categorical: ['a'] });
      expect(table.featureNames).toEqual(['a=20', 'a=3', 'a=x']);
    });

    it.each([
      ['mean', 4],
      ['median', 2],
      ['zero', 0],
    ] as const)('with missing numbers, taken for the %s', async (missing, fill) => {
      const content = 'a,b,y\n1,u,0\n,u,1\n2,,0\n9,v,1\n';
      const table = await read(content, { missing });
      expect(table.columns).toMatchObject([
        { name: 'a', missing: 1, fill },
        { name: 'b', missing: 1, fill: undefined },
      ]);
      expect([...allOf(table).features]).toEqual([1, 1, 0, fill, 1, 0, 2, 0, 0, 9, 0, 1]);
    });
  });

  describe('has a target', () => {
    it('of classes where any is a name or all are few integers', async () => {
      expect((await read('a,y\n1,2\n1,10\n1,2.0\n')).classes).toEqual(['2', '10']);
      expect((await read('a,y\n1,2\n1,b\n')).classes).toEqual(['2', 'b']);
    });

    it('of numbers where they are many, also when that shows late', async () => {
      const values = Array.from({ length: 500 }, (_, i) => (i < 300 ? i % 5 : i * 3));
      const lines = values.map((value) => `1,${value}\n`).join('');
      for (const limits of [{}, { classes: 120 }]) {
        const table = await read(`a,y\n${lines}`, {}, limits);
        expect(table.classes).toBeUndefined();
        expect(allOf(table).targets).toEqual(Float32Array.from(values));
      }
    });
  });

  it.each([
    ['a,b,y\n1,2,x\n3,four,y\n', {}, "row 3, column 'b': got 'four', wanted a number as before"],
    ['a,b,y\n1,u,x\n3,4,y\n', {}, "row 3, column 'b': got '4', wanted text as before"],
    ['a,b,y\n1,NaN,x\n', {}, "row 2, column 'b': got 'NaN', wanted a number"],
    ['a,b,y\n1,1,x\n1,-inf,y\n', {}, "row 3, column 'b': got '-inf', wanted a number"],
    ['a,b,y\n1,4e38,x\n', {}, "row 2, column 'b': got '4e38', wanted a number"],
    ['a,b,y\n1,1_000,x\n', {}, "row 2, column 'b': got '1_000'"],
    ['a,b,y\n1,١٢,x\n1,3,z\n', {}, "row 3, column 'b': got '3', wanted text as before"],
    [
      'a,b,y\n1,,x\n',
      {},
      "row 2, column 'b': got '', wanted a value, or a rule for missing ones: mean, median or zero",
    ],
    ['a,b,y\n1,2,\n', { missing: 'zero' }, "row 2, column 'y': got '', wanted a class or a number"],
    ['a,b,y\n,2,x\n,3,z\n', { missing: 'mean' }, "column 'a' has no values"],
    ['a,b,y\n1,2\n', {}, 'row 2: got 2 columns, wanted 3'],
    ['a,b,y\n1,two,3,4\n', {}, 'row 2: got 4 columns, wanted 3'],
    ['a,b,y\n1,2,3\nbad\n', {}, 'row 3: got 1 columns, wanted 3'],
    ['a,b,y\n1,2"3,x\n', {}, 'row 2: a quote within a cell'],
    ['a,b,y\n1,"2"3,x\n', {}, 'row 2: a quote closes within a cell'],
    ['a,b,y\n1,2,x\n1,"2,x\n', {}, 'row 3: a quote is not closed'],
    ['a,b,y\n1,x\0,x\n', {}, "row 2, column 'b'"],
    ['\ufffe', {}, 'got UTF-16, wanted UTF-8'],
    ['a,y\n1,2\n', { ignored: ['q'] }, "there is no column 'q', got a, y"],
    ['a,y\n1,2\n', { ignored: ['a'] }, "got no columns to learn from beside 'y'"],
    ['a,y\n1,2\n', { features: ['y'] }, "column 'y' is the target, and a feature"],
    ['a,y\n1,2\n', { features: ['a', 'a'] }, "column 'a' is named twice"],
    ['a,b,y\n1,2,3\n', { features: ['a', 'b'], ignored: ['a'] }, "column 'a' is a feature, and it is ignored"],
    ['a,y\n1,2\n', { ignored: ['y'] }, "column 'y' is the target, and it is ignored"],
    ['', {}, 'got 0 rows'],
  ] as const)('is refused as %j %j', async (content, roles, reason) => {
    const bytes = content === '\ufffe' ? Buffer.from([0xff, 0xfe, 0x61, 0]) : content;
    await expect(read(bytes, roles)).rejects.toThrow(reason);
  });

  it('is refused with more names than a column may have, and the column is named', async () => {
    const lines = Array.from({ length: 1001 }, (_, i) => `n${i},${i}\n`).join('');
    await expect(read(`a,y\n${lines}`)).rejects.toThrow("column 'a' has more than 1000 categories up to row 1002");
  });

  it('is refused with more classes than there may be', async () => {
    const lines = Array.from({ length: 11 }, (_, i) => `1,n${i}\n`).join('');
    await expect(read(`a,y\n${lines}`, {}, { classes: 10 })).rejects.toThrow("column 'y' has more than 10 classes");
  });

  it('is refused with a row beyond all measure', () =>
    expect(read(`a,y\n"${'x'.repeat(3_000_000)}`, {}, { rowBytes: 1_000_000 })).rejects.toThrow(
      'row 2: wanted at most 1000000 bytes',
    ));

  it('is refused with too many rows', () =>
    expect(read('a,y\n1,2\n1,3\n', {}, { rows: 1 })).rejects.toThrow('row 3: wanted at most 1 rows'));
});
