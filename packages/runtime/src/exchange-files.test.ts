import { closeSync, fstatSync, openSync, readdirSync } from 'node:fs';
import { createExchangeFiles, openExchangeDescriptors } from './exchange-files.js';

const mib = 2 ** 20;
const unheard = () => {};

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
    expect(files.write(0, [Buffer.alloc(mib, 1), Buffer.alloc(8, 2)], unheard)).toBe(true);
    expect(files.write(1, [Buffer.alloc(mib, 3)], unheard)).toBe(true);
    expect(files.write(0, [Buffer.alloc(mib, 4)], unheard)).toBe(true);
    const got = [0, 1].map((file) => {
      const into = Buffer.alloc(mib);
      files.read(file, into, 0, mib);
      return [into[0], into[mib - 1]];
    });
    expect(got).toEqual([
      [4, 4],
      [3, 3],
    ]);
  });

  it('can be read part by part while they are written', () => {
    const files = createExchangeFiles(descriptors);
    const pieces = [Buffer.alloc(mib, 1), Buffer.alloc(8, 2), Buffer.alloc(4 * mib, 3)];
    const into = Buffer.alloc(5 * mib + 8);
    const ends: number[] = [];
    const onPart = (end: number) => {
      files.read(0, into, ends.at(-1) ?? 0, end);
      ends.push(end);
    };
    expect(files.write(0, pieces, onPart)).toBe(true);
    expect(ends).toEqual([1, 2, 3, 4, 5].map((part) => part * mib).concat(5 * mib + 8));
    expect(into.equals(Buffer.concat(pieces))).toBe(true);
  });

  it('take neither what is small nor what is very large, nor anything where there are none', () => {
    const files = createExchangeFiles(descriptors);
    expect([8, mib, 65 * mib].map((bytes) => files.takes(0, bytes))).toEqual([false, true, false]);
    expect(createExchangeFiles().takes(0, mib)).toBe(false);
  });

  it('refuse what memory has no room for', () => {
    const full = openSync('/dev/full', 'r+');
    try {
      jest.useFakeTimers();
      const files = createExchangeFiles([full]);
      expect(files.takes(0, mib)).toBe(true);
      expect(files.write(0, [Buffer.alloc(mib)], unheard)).toBe(false);
      expect(files.takes(0, mib)).toBe(false); // for a while
      jest.advanceTimersByTime(1000);
      expect(files.takes(0, mib)).toBe(true);
    } finally {
      jest.useRealTimers();
      closeSync(full);
    }
  });

  it('are empty once they are released, and never give less than was asked for', () => {
    const files = createExchangeFiles(descriptors);
    files.write(1, [Buffer.alloc(mib)], unheard);
    expect(() => files.read(1, Buffer.alloc(2 * mib), 0, 2 * mib)).toThrow(
      `exchange file 1 ends after ${mib} of ${2 * mib} bytes`,
    );
    files.release();
    expect(descriptors.map((descriptor) => fstatSync(descriptor).size)).toEqual([0, 0]);
  });
});
