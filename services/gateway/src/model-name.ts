/** What a request is about, as its bytes say. */
export interface Named {
  readonly model: string;
  readonly version: string;
}

const lengthDelimited = 2;

/**
 * Reads two string fields of a protobuf message and steps over all others: a tensor of any size costs a few bytes'
 * reading. Bytes that are no message give what was read so far; the service that decodes them says what is wrong.
 */
export function readNamed(bytes: Uint8Array, modelField: number, versionField: number): Named {
  let model = '';
  let version = '';
  const cursor = { at: 0 };
  while (cursor.at < bytes.length) {
    const tag = readVarint(bytes, cursor);
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === lengthDelimited) {
      const length = readVarint(bytes, cursor);
      const end = cursor.at + length;
      if (!(end <= bytes.length)) break;
      if (field === modelField) model = text(bytes, cursor.at, end);
      else if (field === versionField) version = text(bytes, cursor.at, end);
      cursor.at = end;
    } else if (wire === 0) readVarint(bytes, cursor);
    else if (wire === 1) cursor.at += 8;
    else if (wire === 5) cursor.at += 4;
    else break;
  }
  return { model, version };
}

const text = (bytes: Uint8Array, from: number, to: number) =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString();

/** NaN where the bytes end within it. */
function readVarint(bytes: Uint8Array, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; cursor.at < bytes.length && scale < 2 ** 70; scale *= 128) {
    const byte = bytes[cursor.at++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  cursor.at = bytes.length;
  return NaN;
}
