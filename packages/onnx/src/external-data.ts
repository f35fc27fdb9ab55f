import { OnnxFormatError } from './model.js';
import type { ByteSource, Field } from './protobuf-reader.js';
import { fieldsIn, text } from './protobuf-reader.js';
import { quoted } from './quoted.js';

/** Files beside an ONNX file that may hold its initializers' data, by the names it calls them by. Nothing else is looked for. */
export interface ExternalData {
  get(location: string): ByteSource | undefined;
  keys(): Iterable<string>;
}

/** Where a tensor's bytes lie in one of the files. */
export interface ExternalPlace {
  readonly source: ByteSource;
  readonly at: number;
  readonly length: number;
}

const keys: ReadonlySet<string> = new Set(['location', 'offset', 'length', 'checksum']);

/** Reads where a tensor of so many bytes keeps them. Throws OnnxFormatError where that is not in the files given. */
export function externalPlace(
  named: string,
  entries: readonly Field[],
  files: ExternalData,
  wanted: number,
): ExternalPlace {
  const told = new Map<string, string>();
  for (const entry of entries) {
    const [key, value] = entryOf(entry);
    if (!keys.has(key)) throw new OnnxFormatError(`${named} has ${quoted(key)} among what says where its data lies`);
    if (told.has(key)) throw new OnnxFormatError(`${named} says twice what the ${key} of its data is`);
    told.set(key, value);
  }
  const location = told.get('location') ?? '';
  const source = files.get(location);
  if (!source) {
    const there = [...files.keys()].map(quoted).join(', ') || 'none';
    throw new OnnxFormatError(`${named} keeps its data in another file, ${quoted(location)}: there are ${there}`);
  }
  const at = wholeNumber(named, 'offset', told.get('offset') ?? '0');
  const length = wholeNumber(named, 'length', told.get('length') ?? String(wanted));
  if (length !== wanted)
    throw new OnnxFormatError(`${named} has ${length} bytes in ${quoted(location)}, wants ${wanted}`);
  if (at + length > source.size) {
    throw new OnnxFormatError(`${named} ends at byte ${at + length} of ${quoted(location)}, which has ${source.size}`);
  }
  return { source, at, length };
}

function entryOf(message: Field): [key: string, value: string] {
  let key = '';
  let value = '';
  for (const field of fieldsIn(message, 3)) {
    if (field.number === 1) key = text(field);
    else if (field.number === 2) value = text(field);
  }
  return [key, value];
}

function wholeNumber(named: string, what: string, got: string): number {
  if (!/^\d{1,15}$/.test(got))
    throw new OnnxFormatError(`${named} has its data at ${what} ${quoted(got)}, wants a number`);
  return Number(got);
}
