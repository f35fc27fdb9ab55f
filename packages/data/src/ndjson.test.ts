import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ColumnRoles } from './column-roles.js';
import { readTable } from './read-table.js';
import { rowsOf } from './table.js';

describe('a file of JSON objects', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'mill-ndjson-'))));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = (content: string | Uint8Array, roles: Partial<ColumnRoles> = {}) => {
    const path = join(folder, 'content.ndjson');
    writeFileSync(path, content);
    return readTable(path, { kind: 'ndjson', target: 'y', ...roles });
  };

  it('has the keys of the first one as columns, wherever they stand later, gzip or not', async () => {
    const content = '{"a": 1.5, "y": "no", "b": "red"}\r\n\n{"b": "blue", "a": -2e3, "y": "yes"}';
    for (const bytes of [content, gzipSync(content)]) {
      const table = await read(bytes);
      expect(table).toMatchObject({ rows: 2, featureNames: ['a', 'b=blue', 'b=red'], classes: ['no', 'yes'] });
      const { features, targets } = rowsOf(table, Uint32Array.of(1, 0));
      expect([...features]).toEqual([-2000, 1, 0, 1.5, 0, 1]);
      expect([...targets]).toEqual([1, 0]);
    }
  });

  it('takes strings and booleans for names, also where they say numbers', async () => {
    const table = await read('{"a":"1","b":true,"y":1}\n{"a":"2","b":false,"y":0}\n');
    expect(table.featureNames).toEqual(['a=1', 'a=2', 'b=false', 'b=true']);
  });

  it('takes null and keys that are not there for missing values', async () => {
    const table = await read('{"a":1,"b":"u","y":1}\n{"a":null,"y":0}\n{"a":5,"b":"u","y":0}\n', { missing: 'mean' });
    expect(table.columns).toMatchObject([{ missing: 1, fill: 3 }, { missing: 1 }]);
    expect([...rowsOf(table, Uint32Array.of(1)).features]).toEqual([3, 0]);
  });

  it.each([
    ['{"a":1,"y":0}\n{"a":2,"y":1\n{"a":3,"y":1}\n', `row 2: got '{"a":2,"y":1', wanted a JSON object`],
    ['{"a":1,"y":0}\n[1,2]\n', `row 2: got '[1,2]', wanted a JSON object`],
    ['{"a":1,"y":0}\n{"a":1,"y":0,"z":1}\n', "row 2: got a column 'z', wanted those of row 1: a, y"],
    ['{"a":1,"y":0}\n{"y":0}\n', "row 2, column 'a': got '', wanted a value, or a rule for missing ones"],
    ['{"a":1,"y":0}\n{"a":1}\n', "row 2, column 'y': got '', wanted a class or a number"],
    ['{"a":1,"y":0}\n{"a":1e400,"y":0}\n', "row 2, column 'a': got Infinity, wanted a number"],
    ['{"a":1,"y":0}\n{"a":"x","y":0}\n', "row 2, column 'a': got 'x', wanted a number as before"],
    ['{"a":"x","y":0}\n{"a":1,"y":0}\n', "row 2, column 'a': got '1', wanted text as before"],
    ['{"a":[1],"y":0}\n', "row 1, column 'a': got a list, wanted a number or text"],
    [`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)},"y":0}\n`, "row 1, column 'a': got a list"],
    ['{"a":1}\n', 'row 1: got 1 columns, wanted features and a target'],
    ['', 'got 0 rows'],
    [Buffer.from([0x7b, 0xff, 0x7d]), 'wanted UTF-8 text'],
  ])('is refused as %#', async (content, reason) => {
    await expect(read(content)).rejects.toThrow(reason);
  });

  it('changes nothing but columns with a key such as __proto__', async () => {
    const table = await read('{"__proto__":1,"y":0}\n{"__proto__":2,"y":1}\n');
    expect(table.featureNames).toEqual(['__proto__']);
    expect([...rowsOf(table, Uint32Array.of(0, 1)).features]).toEqual([1, 2]);
  });
});
