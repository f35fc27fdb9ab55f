import type { Standing } from './standing.js';
import type { TrainingInputs } from './training-messages.js';

/** Everything a training needs to go on as if it had never stopped. */
export interface Checkpoint {
  readonly standing: Standing;
  /** That of the last evaluation, where a training can be rolled back to it. */
  readonly good?: Standing;
  /** What the plan's names stood for when it began: labels may have moved since. */
  readonly inputs: TrainingInputs;
  /** Weights, optimizer state, running statistics, the weights of the best evaluation and the state of the last one, by name. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

const magic = 'MILLCKP1';

/** The file holds damage or is not a checkpoint. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/** Magic, header length (u32), JSON header, then the tensors one after the other, little-endian float32. */
export function writeCheckpoint({ tensors, ...rest }: Checkpoint): Uint8Array {
  const list = [...tensors].map(([name, { length }]) => ({ name, length }));
  const header = Buffer.from(JSON.stringify({ ...rest, tensors: list }));
  const bytes = Buffer.alloc(12 + header.length + 4 * list.reduce((sum, { length }) => sum + length, 0));
  bytes.write(magic, 'latin1');
  bytes.writeUInt32LE(header.length, 8);
  header.copy(bytes, 12);
  let offset = 12 + header.length;
  for (const values of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    offset += values.byteLength;
  }
  return bytes;
}

export function readCheckpoint(file: Uint8Array): Checkpoint {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < 12 || bytes.toString('latin1', 0, 8) !== magic) {
    throw new CheckpointError(`a checkpoint begins with ${magic}, got ${bytes.length} bytes that do not`);
  }
  const end = 12 + bytes.readUInt32LE(8);
  const { tensors: list, ...rest } = headerOf(bytes.toString('utf8', 12, end));
  const wanted = end + 4 * list.reduce((sum, { length }) => sum + length, 0);
  if (bytes.length !== wanted) throw new CheckpointError(`the checkpoint has ${bytes.length} bytes, wants ${wanted}`);
  let offset = end;
  const tensors = new Map<string, Float32Array>();
  for (const { name, length } of list) {
    // copied, so that the floats are aligned
    tensors.set(name, new Float32Array(new Uint8Array(bytes.subarray(offset, offset + 4 * length)).buffer));
    offset += 4 * length;
  }
  return { ...rest, tensors };
}

type Header = Omit<Checkpoint, 'tensors'> & { readonly tensors: readonly { name: string; length: number }[] };

function headerOf(json: string): Header {
  try {
    return JSON.parse(json) as Header;
  } catch (cause) {
    throw new CheckpointError('the header of the checkpoint is damaged', { cause });
  }
}
