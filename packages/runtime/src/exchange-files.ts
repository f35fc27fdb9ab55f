import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writevSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Two files in memory through which large tensors pass between a runner and its parent, in about seven tenths
 * of the time that a socket takes. The parent uses them in turns: with two requests on their way none is written over before it was read,
 * and an answer comes in the file of its request, which the runner has read by then.
 */
export interface ExchangeFiles {
  /** Whether these bytes are in the file now; false where they are too few or too many, or the file cannot hold them. */
  write(file: number, pieces: readonly Uint8Array[], bytes: number): boolean;
  /** Fills `into` from the file's beginning. Throws where it holds less. */
  read(file: number, into: Uint8Array): void;
  /** Gives their memory back until they are written again. */
  release(): void;
}

export const exchangeFiles = 2;
const smallestBytes = 2 ** 18;
const largestBytes = 2 ** 26;
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
  const release = () => {
    if (held) for (const descriptor of descriptors) shorten(descriptor);
    held = false;
  };
  return {
    write(file, pieces, bytes) {
      const descriptor = descriptors[file];
      if (descriptor === undefined || bytes < smallestBytes || bytes > largestBytes) return false;
      held = true;
      if (written(descriptor, pieces) === bytes) return true;
      shorten(descriptor);
      return false;
    },
    read(file, into) {
      const descriptor = descriptors[file];
      if (descriptor === undefined) throw new Error(`there is no exchange file ${file}`);
      held = true;
      for (let at = 0; at < into.byteLength;) {
        const count = readSync(descriptor, into, at, into.byteLength - at, at);
        if (count === 0) throw new Error(`exchange file ${file} ends after ${at} of ${into.byteLength} bytes`);
        at += count;
      }
    },
    release,
  };
}

/** How much of it the memory had room for. */
function written(descriptor: number, pieces: readonly Uint8Array[]): number {
  try {
    return writevSync(descriptor, pieces, 0);
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
