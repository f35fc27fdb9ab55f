import { closeSync, fstatSync, openSync, readdirSync } from 'node:fs';
import { createExchangeFiles, openExchangeDescriptors } from './exchange-files.js';

const mib = 2 ** 20;

describe('exchange files', () => {
  let descriptors: readonly number[];
  beforeAll(() => (descriptors = openExchangeDescriptors() ?? []));
  afterAll(() => descriptors.forEach((descriptor) => closeSync(descriptor)));

  it('are nowhere to be found', () => {
    expect(descriptors).toHaveLength(2);
    expect(readdirSync('/dev/shm').filter((name) => name.startsWith('mill-exchange-'))).toEqual([]);
  });

  it('give what was written last, each its own', () => {
    const files = createExchangeFiles(descriptors);
    expect(files.write(0, [Buffer.alloc(mib, 1), Buffer.alloc(8, 2)], mib + 8)).toBe(true);
    expect(files.write(1, [Buffer.alloc(mib, 3)], mib)).toBe(true);
    expect(files.write(0, [Buffer.alloc(mib, 4)], mib)).toBe(true);
    const got = [0, 1].map((file) => {
      const into = Buffer.alloc(mib);
      files.read(file, into);
      return [into[0], into[mib - 1]];
    });
    expect(got).toEqual([
      [4, 4],
      [3, 3],
    ]);
  });

  it('take neither what is small nor what is very large, nor anything where there are none', () => {
    const files = createExchangeFiles(descriptors);
    expect(files.write(0, [Buffer.alloc(8)], 8)).toBe(false);
    expect(files.write(0, [Buffer.alloc(65 * mib)], 65 * mib)).toBe(false);
    expect(createExchangeFiles().write(0, [Buffer.alloc(mib)], mib)).toBe(false);
  });

  it('refuse what memory has no room for', () => {
    const full = openSync('/dev/full', 'r+');
    try {
      expect(createExchangeFiles([full]).write(0, [Buffer.alloc(mib)], mib)).toBe(false);
    } finally {
      closeSync(full);
    }
  });

  it('are empty once they are released, and never give less than was asked for', () => {
    const files = createExchangeFiles(descriptors);
    files.write(1, [Buffer.alloc(mib)], mib);
    expect(() => files.read(1, Buffer.alloc(2 * mib))).toThrow(`exchange file 1 ends after ${mib} of ${2 * mib} bytes`);
    files.release();
    expect(descriptors.map((descriptor) => fstatSync(descriptor).size)).toEqual([0, 0]);
  });
});
