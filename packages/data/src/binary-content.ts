import { contentError, openContent } from './content.js';
import { DatasetError } from './table.js';
import type { TableLimits } from './table.js';

/** Part of a file, read piece by piece. Errors begin with what it is. */
export interface BinaryContent extends AsyncDisposable {
  /** Exactly so many bytes, valid until the next call. Throws DatasetError where there are fewer. */
  take(bytes: number): Promise<Buffer>;
  /** Throws DatasetError where bytes are left. */
  end(): Promise<void>;
}

export async function openBinary(
  path: string,
  range: { start: number; end?: number },
  what: string,
  limits: TableLimits,
): Promise<BinaryContent> {
  const stream = await openContent(path, limits.decodedBytes, range);
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held: Buffer = Buffer.alloc(0);
  let taken = 0;
  const next = async (): Promise<Buffer | undefined> => {
    try {
      const { value, done } = await chunks.next();
      return done ? undefined : value;
    } catch (error) {
      throw contentError(error);
    }
  };
  return {
    async take(bytes) {
      const parts = [held];
      for (let have = held.length; have < bytes;) {
        const more = await next();
        if (more === undefined) {
          throw new DatasetError(`${what}: got ${taken + have} bytes, wanted ${taken + bytes} or more`);
        }
        parts.push(more);
        have += more.length;
      }
      const all = parts.length === 1 ? held : Buffer.concat(parts);
      held = all.subarray(bytes);
      taken += bytes;
      return all.subarray(0, bytes);
    },
    async end() {
      const more = held.length > 0 ? held : await next();
      if (more !== undefined) throw new DatasetError(`${what}: got more than the ${taken} bytes wanted`);
    },
    async [Symbol.asyncDispose]() {
      stream.destroy();
    },
  };
}

/** Where the second of two files in one content begins. Throws DatasetError. */
export function checkSecondStart(field: string, at: number, size: number): void {
  if (at > 0 && at < size) return;
  throw new DatasetError(`${field} is ${at}, wanted a number between 0 and the ${size} bytes there are`);
}
