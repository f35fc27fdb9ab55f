import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A file that is read in places, blocking: what it has in large parts is not held in memory. */
export interface FileBytes extends Disposable {
  readonly size: number;
  read(at: number, length: number): Uint8Array;
}

/** So much was read for one look each: what is left of it is worth a search. */
const collectAfter = 2 ** 25;
let sinceCollected = 0;

/** What is read lies outside V8's heap, which does not notice how much of it nobody needs any more. */
function collect(read: number): void {
  sinceCollected += read;
  if (sinceCollected < collectAfter) return;
  sinceCollected = 0;
  globalThis.gc?.(); // where the process was started with it
}

/** Stays open until it is disposed, or the process ends. A part of it where `from` and `size` are given. */
export function openFileBytes(path: string, from = 0, size?: number): FileBytes {
  const file = openSync(path, 'r');
  // whoever looks at the same bytes twice in a row reads them once
  let last = { at: 0, bytes: new Uint8Array() };
  return {
    size: size ?? fstatSync(file).size - from,
    read(at, length) {
      if (last.at === at && last.bytes.length === length) return last.bytes;
      collect(length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const read = readSync(file, bytes, done, length - done, from + at + done);
        if (read === 0) throw new Error(`'${path}' ends at byte ${from + at + done}, wants ${from + at + length}`);
        done += read;
      }
      last = { at, bytes };
      return bytes;
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** An ONNX file of the artifacts, and the files beside it that it names by their digests. */
export interface ModelFiles extends Disposable {
  readonly file: FileBytes;
  /** Opened when they are asked for. */
  readonly beside: { get(location: string): FileBytes | undefined; keys(): Iterable<string> };
  /** Bytes of the file and of those that were asked for. */
  readonly size: number;
}

const digest = /^[0-9a-f]{64}$/;

/** Stays open until it is disposed, or the process ends. */
export function openModelFiles(path: string): ModelFiles {
  const file = openFileBytes(path);
  const opened = new Map<string, FileBytes>();
  return {
    file,
    beside: {
      get(location) {
        if (!opened.has(location) && digest.test(location)) {
          opened.set(location, openFileBytes(join(dirname(path), location)));
        }
        return opened.get(location);
      },
      keys: () => opened.keys(),
    },
    get size() {
      return [...opened.values()].reduce((sum, { size }) => sum + size, file.size);
    },
    [Symbol.dispose]() {
      for (const one of [file, ...opened.values()]) one[Symbol.dispose]();
    },
  };
}
