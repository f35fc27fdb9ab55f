import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writevSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Two files in memory through which large tensors pass between a runner and its parent, in about seven tenths
 * of the time that a socket takes. The parent uses them in turns: with two requests on their way none is written over before it was read,
 * and an answer comes in the file of its request, which the runner has read by then.
 */
export interface ExchangeFiles {
  /** Whether so many bytes are better put there than sent. */
  takes(file: number, bytes: number): boolean;
  /** Puts the pieces there, one behind the other, and tells `onPart` after each part where that ends. False: there is no room for all. */
  write(file: number, pieces: readonly Uint8Array[], onPart: (end: number) => void): boolean;
  /** Fills `into` between two places with what the file has there. Throws where it holds less. */
  read(file: number, into: Uint8Array, from: number, to: number): void;
  /** Gives their memory back until they are written again. */
  release(): void;
}

export const exchangeFiles = 2;
const smallestBytes = 2 ** 18;
const largestBytes = 2 ** 26;
const partBytes = 2 ** 20; // while one is read, the next is written
const fullMs = 1_000; // while memory has no room, whatever is tried goes over the socket in the end
const memory = '/dev/shm';

/** Opens them where the system has files in memory. They have no name, and end with the last process that holds them. */
export function openExchangeDescriptors(): readonly number[] | undefined {
  let folder: string | undefined;
  const opened: number[] = [];
  try {
    folder = mkdtempSync(join(memory, 'mill-exchange-'));
    for (let file = 0; file < exchangeFiles; file++) opened.push(openSync(join(folder, String(file)), 'wx+', 0o600));
    return opened;
  } catch {
    opened.forEach(closeSync);
    return undefined; // a socket does it, too
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Over descriptors that are open in this process; every write is refused where there are none. */
export function createExchangeFiles(descriptors: readonly number[] = []): ExchangeFiles {
  let held = false;
  let fullUntil = 0;
  const cut = new Set<number>(); // files that hold the beginning of what did not fit
  const release = () => {
    if (held) for (const descriptor of descriptors) shorten(descriptor);
    held = false;
  };
  return {
    takes(file, bytes) {
      const descriptor = descriptors[file];
      if (descriptor === undefined) return false;
      if (cut.delete(file)) shorten(descriptor); // it was read, as the file is asked for again
      return bytes >= smallestBytes && bytes <= largestBytes && performance.now() >= fullUntil;
    },
    write(file, pieces, onPart) {
      held = true;
      let at = 0;
      for (const part of partsOf(pieces)) {
        const bytes = part.reduce((sum, { byteLength }) => sum + byteLength, 0);
        if (written(descriptors[file]!, part, at) !== bytes) {
          cut.add(file);
          fullUntil = performance.now() + fullMs;
          return false;
        }
        onPart((at += bytes));
      }
      return true;
    },
    read(file, into, from, to) {
      const descriptor = descriptors[file];
      if (descriptor === undefined) throw new Error(`there is no exchange file ${file}`);
      held = true;
      for (let at = from; at < to;) {
        const count = readSync(descriptor, into, at, to - at, at);
        if (count === 0) throw new Error(`exchange file ${file} ends after ${at} of ${to} bytes`);
        at += count;
      }
    },
    release,
  };
}

/** The pieces in groups of as many bytes as a part has, at most. */
function* partsOf(pieces: readonly Uint8Array[]): Generator<readonly Uint8Array[]> {
  let part: Uint8Array[] = [];
  let room = partBytes;
  for (const piece of pieces) {
    for (let at = 0; at < piece.byteLength;) {
      const taken = piece.subarray(at, at + room);
      part.push(taken);
      at += taken.byteLength;
      room -= taken.byteLength;
      if (room > 0) continue;
      yield part;
      [part, room] = [[], partBytes];
    }
  }
  if (part.length > 0) yield part;
}

/** How much of it the memory had room for. */
function written(descriptor: number, pieces: readonly Uint8Array[], at: number): number {
  try {
    return writevSync(descriptor, pieces, at);
  } catch {
    return 0;
  }
}

function shorten(descriptor: number): void {
  try {
    ftruncateSync(descriptor, 0);
  } catch {
    // it keeps its memory, and is written over
  }
}
