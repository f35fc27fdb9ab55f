import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readTable } from './read-table.js';
import { rowsOf } from './table.js';

/** As numpy.save writes it: the header padded to 64 bytes. */
function npy(descr: string, shape: readonly number[], data: ArrayBufferView, fortran = false): Buffer {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': ${descr}, 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${sizes}), }`;
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const length = Buffer.alloc(2);
  length.writeUInt16LE(padded.length);
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(padded), bytes]);
}

describe('a pair of NumPy files', () => {
  let folder: string;
  beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'mill-npy-'))));
  afterAll(() => rmSync(folder, { recursive: true }));
  const read = async (features: Buffer, targets: Buffer) => {
    const path = join(folder, 'content');
    writeFileSync(path, Buffer.concat([features, targets]));
    return readTable(path, { kind: 'npy', featuresBytes: features.length });
  };
  const threeByTwo = Float32Array.of(1, 2, 3, 4, 5, 6);
  const labels = npy(`'<i8'`, [3], BigInt64Array.of(7n, 0n, 7n));
  const all = Uint32Array.of(0, 1, 2);

  it('has floats and integers as features, classes as integers, gzip or not', async () => {
    for (const targets of [labels, gzipSync(labels)]) {
      const table = await read(gzipSync(npy(`'<f4'`, [3, 2], threeByTwo)), targets);
      expect(table).toMatchObject({ rows: 3, featureShape: [2], classes: ['0', '7'], target: 'target' });
      expect(rowsOf(table, all)).toEqual({ features: threeByTwo, targets: Float32Array.of(1, 0, 1) });
    }
  });

  it.each([
    ['<f8', Float64Array.of(1, -2, 3.5, 4, 5, 6)],
    ['|i1', Int8Array.of(1, -2, 3, 4, 5, 6)],
    ['|u1', Uint8Array.of(1, 255, 3, 4, 5, 6)],
    ['<i2', Int16Array.of(1, -300, 3, 4, 5, 6)],
    ['<u4', Uint32Array.of(1, 2 ** 31, 3, 4, 5, 6)],
    ['<i8', BigInt64Array.of(1n, -(2n ** 40n), 3n, 4n, 5n, 6n)],
    ['|b1', Uint8Array.of(0, 1, 1, 0, 1, 0)],
  ])('may be of type %s', async (type, data) => {
    const table = await read(npy(`'${type}'`, [3, 2], data), labels);
    expect([...rowsOf(table, all).features]).toEqual(Array.from<number | bigint, number>(data, Number));
  });

  it('may be of the other byte order', async () => {
    const swapped = Buffer.from(threeByTwo.slice().buffer).swap32();
    const table = await read(npy(`'>f4'`, [3, 2], swapped), labels);
    expect(rowsOf(table, all).features).toEqual(threeByTwo);
  });

  it('may be in Fortran order, of many axes', async () => {
    const [rows, height, width] = [3, 4, 5];
    const value = (r: number, y: number, x: number) => 100 * r + 10 * y + x;
    const turned = new Float64Array(rows * height * width);
    const straight = new Float32Array(turned.length);
    for (let r = 0; r < rows; r++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          turned[r + rows * (y + height * x)] = value(r, y, x);
          straight[(r * height + y) * width + x] = value(r, y, x);
        }
      }
    }
    const table = await read(npy(`'<f8'`, [rows, height, width], turned, true), labels);
    expect(table.featureShape).toEqual([4, 5]);
    expect(rowsOf(table, all).features).toEqual(straight);
  });

  it('has numbers to predict where the targets are floats', async () => {
    const targets = npy(`'<f8'`, [3, 1], Float64Array.of(1, 0, 2.5));
    const table = await read(npy(`'<f4'`, [3, 2], threeByTwo), targets);
    expect(table.classes).toBeUndefined();
    expect([...rowsOf(table, all).targets]).toEqual([1, 0, 2.5]);
  });

  const features = npy(`'<f4'`, [3, 2], threeByTwo);
  it.each([
    [
      'Python objects',
      npy(`'|O'`, [3, 2], threeByTwo),
      labels,
      "features: got elements of type '|O', wanted one of f4",
    ],
    ['records', npy(`[('a', '<f4')]`, [3, 2], threeByTwo), labels, 'features: got elements of type ['],
    ['too little content', npy(`'<f4'`, [3, 3], threeByTwo), labels, /features: got \d+ bytes, wanted \d+ or more/],
    ['too much content', npy(`'<f4'`, [3, 1], threeByTwo), labels, 'features: got more than the'],
    ['a shape beyond all measure', npy(`'<f4'`, [2 ** 40, 2 ** 40], threeByTwo), labels, 'rows, wanted at most'],
    ['features beyond all measure', npy(`'<f4'`, [3, 2 ** 40], threeByTwo), labels, 'features, wanted 1 to'],
    ['no rows', npy(`'<f4'`, [0, 2], new Float32Array()), labels, 'got 0 rows'],
    ['another number of targets', features, npy(`'|u1'`, [2], Uint8Array.of(0, 1)), 'targets: got [2], wanted [3]'],
    ['targets in two columns', features, npy(`'|u1'`, [3, 2], new Uint8Array(6)), 'targets: got [3, 2], wanted [3]'],
    [
      'a number that is none',
      npy(`'<f4'`, [3, 2], Float32Array.of(1, 2, 3, NaN, 5, 6)),
      labels,
      'features: row 2, element 2: got NaN',
    ],
    [
      'a target that is none',
      features,
      npy(`'<f4'`, [3], Float32Array.of(1, Infinity, 3)),
      'targets: row 2, element 1: got Infinity',
    ],
    ['something else', Buffer.from('PK\x03\x04 a zip of arrays'), labels, 'features: got 504b03042061 at the start'],
  ])('is refused with %s', async (_, first, second, reason) => {
    await expect(read(first, second)).rejects.toThrow(reason);
  });

  it('is refused where the second does not begin within the content', async () => {
    writeFileSync(join(folder, 'content'), features);
    const reading = readTable(join(folder, 'content'), { kind: 'npy', featuresBytes: features.length });
    await expect(reading).rejects.toThrow(`features_bytes is ${features.length}, wanted a number between 0 and`);
  });
});
