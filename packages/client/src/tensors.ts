import { status } from '@grpc/grpc-js';
import { MillError } from './mill-error.js';

/** The Open Inference Protocol's fixed-width datatypes and their arrays. FP16 and BF16 are 16-bit patterns. */
const arrays = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

/** A datatype of the Open Inference Protocol; BYTES are strings. */
export type Datatype = keyof typeof arrays | 'BYTES';

export type TypedArray = InstanceType<(typeof arrays)[keyof typeof arrays]>;

/** A tensor to send: row-major elements. */
export interface InputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: TypedArray | readonly number[] | readonly bigint[] | readonly boolean[] | readonly string[];
}

/** A tensor that came back. */
export interface OutputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: TypedArray | readonly string[];
}

/** Little-endian row-major bytes. Throws INVALID_ARGUMENT when the count of elements is not that of the shape. */
export function encodeTensor({ name, datatype, shape, data }: InputTensor): Buffer {
  const wanted = shape.reduce((product, size) => product * size, 1);
  if (data.length !== wanted) {
    throw new MillError(
      status.INVALID_ARGUMENT,
      `input '${name}' has ${data.length} elements, its shape [${shape.join(', ')}] takes ${wanted}`,
    );
  }
  if (datatype === 'BYTES') return encodeStrings([...data].map(String));
  const typed = toTyped(datatype, data);
  return Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength);
}

function toTyped(datatype: keyof typeof arrays, data: InputTensor['data']): TypedArray {
  const Wanted = arrays[datatype];
  if (data instanceof Wanted) return data;
  if (datatype === 'INT64' || datatype === 'UINT64') {
    const elements = Array.from<number | bigint | boolean | string, bigint>(data, (value) => BigInt(value));
    return datatype === 'INT64' ? BigInt64Array.from(elements) : BigUint64Array.from(elements);
  }
  return arrays[datatype].from(Array.from<number | bigint | boolean | string, number>(data, Number));
}

/** The elements of raw bytes. Throws INTERNAL for a datatype that the protocol does not have. */
export function decodeTensor(datatype: string, bytes: Uint8Array): OutputTensor['data'] {
  if (datatype === 'BYTES') return decodeStrings(bytes);
  if (!isFixedWidth(datatype))
    throw new MillError(status.INTERNAL, `the server sent a tensor of datatype '${datatype}'`);
  const copy = Uint8Array.from(bytes); // typed arrays need aligned memory
  return new arrays[datatype](copy.buffer);
}

const isFixedWidth = (datatype: string): datatype is keyof typeof arrays => datatype in arrays;

/** Each string after its length in 4 bytes. */
function encodeStrings(strings: readonly string[]): Buffer {
  return Buffer.concat(
    strings.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
}

function decodeStrings(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  for (let at = 0; at < buffer.length;) {
    const end = at + 4 + buffer.readUInt32LE(at);
    strings.push(buffer.toString('utf8', at + 4, end));
    at = end;
  }
  return strings;
}
