import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file that has no name any more: it goes with its process, however that ends. */
export interface ScratchFile extends Disposable {
  /** Writes behind what is there. */
  append(bytes: Uint8Array): void;
  /** Fills `to` from `position` on. */
  read(position: number, to: Uint8Array): void;
}

export function openScratchFile(): ScratchFile {
  const folder = mkdtempSync(join(tmpdir(), 'mill-data-'));
  const file = openSync(join(folder, 'scratch'), 'w+');
  rmSync(folder, { recursive: true });
  let end = 0;
  return {
    append(bytes) {
      for (let done = 0; done < bytes.length;) {
        const written = writeSync(file, bytes, done, bytes.length - done, end);
        done += written;
        end += written;
      }
    },
    read(position, to) {
      for (let done = 0; done < to.length;) {
        const got = readSync(file, to, done, to.length - done, position + done);
        if (got === 0) throw new RangeError(`read ${position + to.length} of a scratch file of ${end} bytes`);
        done += got;
      }
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}
