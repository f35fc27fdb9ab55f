import { openScratchFile } from './scratch-file.js';
import type { ScratchFile } from './scratch-file.js';

/** Rows of `width` numbers each, in memory or in a file. */
export interface Records extends Disposable {
  readonly rows: number;
  readonly width: number;
  /** Copies rows in the order given; `to` takes [rows.length, width]. */
  read(rows: Uint32Array, to: Float32Array): void;
}

const chunkBytes = 2 ** 20;
/** Rows apart that are still read in one go. */
const nearRows = 16;

/** Takes rows in one by one; beyond `memoryBytes` all of them go to a file. */
export function createRecordWriter(width: number, memoryBytes: number) {
  const chunkRows = Math.max(1, Math.floor(chunkBytes / (4 * width)));
  const chunks: Float32Array[] = [];
  let file: ScratchFile | undefined;
  let open = new Float32Array(chunkRows * width);
  let filled = 0;
  let rows = 0;

  function put(chunk: Float32Array): void {
    if (file === undefined && 4 * rows * width <= memoryBytes) return void chunks.push(chunk.slice());
    if (file === undefined) {
      file = openScratchFile();
      for (const known of chunks.splice(0)) file.append(bytesOf(known));
    }
    file.append(bytesOf(chunk));
  }

  return {
    add(record: Float32Array): void {
      open.set(record, filled);
      filled += width;
      rows++;
      if (filled < open.length) return;
      put(open);
      filled = 0;
    },
    finish(): Records {
      if (filled > 0) put(open.subarray(0, filled));
      open = new Float32Array(0);
      return file ? recordsInFile(file, rows, width) : recordsInMemory(chunks, chunkRows, rows, width);
    },
    [Symbol.dispose]: () => file?.[Symbol.dispose](),
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

function recordsInMemory(chunks: readonly Float32Array[], chunkRows: number, rows: number, width: number): Records {
  return {
    rows,
    width,
    read(wanted, to) {
      for (let i = 0; i < wanted.length; i++) {
        const row = wanted[i]!;
        const at = (row % chunkRows) * width;
        to.set(chunks[Math.floor(row / chunkRows)]!.subarray(at, at + width), i * width);
      }
    },
    [Symbol.dispose]: () => {},
  };
}

function recordsInFile(file: ScratchFile, rows: number, width: number): Records {
  const stretchRows = Math.max(1, Math.floor(chunkBytes / (4 * width)));
  const stretch = new Float32Array(stretchRows * width);
  return {
    rows,
    width,
    read(wanted, to) {
      for (let i = 0; i < wanted.length;) {
        const first = wanted[i]!;
        let end = i + 1; // rows close behind each other come in one read
        while (end < wanted.length && isNear(wanted[end - 1]!, wanted[end]!, first + stretchRows)) end++;
        const read = stretch.subarray(0, (wanted[end - 1]! - first + 1) * width);
        file.read(4 * first * width, bytesOf(read));
        for (; i < end; i++) {
          const at = (wanted[i]! - first) * width;
          to.set(read.subarray(at, at + width), i * width);
        }
      }
    },
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

const isNear = (row: number, next: number, before: number) => next > row && next <= row + nearRows && next < before;
