import { openContent } from './content.js';
import { DatasetError } from './table.js';
import type { TableLimits } from './table.js';

/** A file's lines that are not blank, as they are read. */
export async function* linesOf(path: string, limits: TableLimits): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let row = 0;
  let kept = '';
  for await (const part of await openContent(path, limits.decodedBytes)) {
    const lines = (kept + decoded(part as Buffer)).split('\n');
    kept = lines.pop()!;
    if (kept.length > limits.rowBytes) {
      throw new DatasetError(`row ${row + 1}: wanted at most ${limits.rowBytes} bytes`);
    }
    for (const line of lines) {
      if (line.trim() === '') continue;
      row++;
      yield line;
    }
  }
  decoded();
  if (kept.trim() !== '') yield kept;

  function decoded(part?: Buffer): string {
    try {
      return decoder.decode(part, { stream: part !== undefined });
    } catch (error) {
      throw new DatasetError(`a row after row ${row}: got something else, wanted UTF-8 text`, { cause: error });
    }
  }
}
