import { Tensor } from 'onnxruntime-node';

/** A tensor as it travels: little-endian, row-major bytes; BYTES elements carry a 4-byte length each. */
export interface TensorData {
  /** Open Inference Protocol name: BOOL, INT8 … FP64, FP16, BYTES. */
  datatype: string;
  shape: number[];
  data: Uint8Array;
}

export type TensorArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | string[];

/** A tensor in this process. Half floats are their bits in a Uint16Array, booleans bytes. */
export interface TypedTensor {
  readonly dims: readonly number[];
  readonly data: TensorArray;
  /** Needed for BOOL and FP16, which share an array type with UINT8 and UINT16; read from the array otherwise. */
  readonly datatype?: string;
}

/** Name, datatype and shape of an input or output; -1 is a variable dimension. */
export interface TensorSignature {
  name: string;
  datatype: string;
  shape: number[];
}

interface Datatype {
  /** ONNX Runtime's name. */
  readonly ort: Tensor.Type;
  /** Bytes per element; 0: of variable length. */
  readonly bytes: number;
  readonly view: (buffer: ArrayBufferLike, offset: number, length: number) => TensorArray;
}

const noView = (): never => {
  throw new Error('BYTES have no view');
};

export const datatypes: Readonly<Record<string, Datatype>> = {
  BOOL: { ort: 'bool', bytes: 1, view: (buffer, offset, length) => new Uint8Array(buffer, offset, length) },
  UINT8: { ort: 'uint8', bytes: 1, view: (buffer, offset, length) => new Uint8Array(buffer, offset, length) },
  INT8: { ort: 'int8', bytes: 1, view: (buffer, offset, length) => new Int8Array(buffer, offset, length) },
  UINT16: { ort: 'uint16', bytes: 2, view: (buffer, offset, length) => new Uint16Array(buffer, offset, length) },
  INT16: { ort: 'int16', bytes: 2, view: (buffer, offset, length) => new Int16Array(buffer, offset, length) },
  FP16: { ort: 'float16', bytes: 2, view: (buffer, offset, length) => new Uint16Array(buffer, offset, length) },
  UINT32: { ort: 'uint32', bytes: 4, view: (buffer, offset, length) => new Uint32Array(buffer, offset, length) },
  INT32: { ort: 'int32', bytes: 4, view: (buffer, offset, length) => new Int32Array(buffer, offset, length) },
  FP32: { ort: 'float32', bytes: 4, view: (buffer, offset, length) => new Float32Array(buffer, offset, length) },
  UINT64: { ort: 'uint64', bytes: 8, view: (buffer, offset, length) => new BigUint64Array(buffer, offset, length) },
  INT64: { ort: 'int64', bytes: 8, view: (buffer, offset, length) => new BigInt64Array(buffer, offset, length) },
  FP64: { ort: 'float64', bytes: 8, view: (buffer, offset, length) => new Float64Array(buffer, offset, length) },
  BYTES: { ort: 'string', bytes: 0, view: noView },
};

const datatypeOfOrt = new Map(Object.entries(datatypes).map(([name, { ort }]) => [ort as string, name]));

/** The protocol's name of one of ONNX Runtime's types; undefined where the protocol has none. */
export const datatypeOf = (ortType: string): string | undefined => datatypeOfOrt.get(ortType);

/** Bytes per element of a fixed-size datatype, 0 for BYTES; undefined for a name this runtime does not know. */
export const elementBytes = (datatype: string): number | undefined => datatypes[datatype]?.bytes;

export const elementCount = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** ONNX Runtime's tensor over the same memory, where alignment allows it; a copy otherwise. */
export function toOrt({ datatype, shape, data }: TensorData): Tensor {
  const type = known(datatype);
  if (type.bytes === 0) return new Tensor('string', decodeStrings(data), shape);
  const aligned = data.byteOffset % type.bytes === 0 ? data : new Uint8Array(data);
  return tensor(type, type.view(aligned.buffer, aligned.byteOffset, aligned.byteLength / type.bytes), shape);
}

/** The bytes of ONNX Runtime's tensor: the same memory, except for strings. */
export function fromOrt(value: Tensor): TensorData {
  const datatype = datatypeOf(value.type);
  if (datatype === undefined) throw new Error(`a tensor of type ${value.type} has no protocol datatype`);
  return { datatype, shape: [...value.dims], data: bytesOf(value.data) };
}

export function typedToOrt({ dims, data, datatype }: TypedTensor): Tensor {
  return tensor(known(datatype ?? datatypeOfArray(data)), data, dims);
}

export function typedFromOrt(value: Tensor): TypedTensor {
  const datatype = datatypeOf(value.type);
  if (datatype === undefined) throw new Error(`a tensor of type ${value.type} has no protocol datatype`);
  const data = value.data;
  // Float16Array, where Node has it, becomes the bits it stands for
  const typed =
    Array.isArray(data) || datatype !== 'FP16' ? data : new Uint16Array(data.buffer, data.byteOffset, data.length);
  return { dims: value.dims, data: typed as TensorArray, datatype };
}

/** What elements of ONNX Runtime's type take; undefined of text, and of types that the protocol does not have. */
export function ortBytes(type: Tensor.Type, dims: readonly number[]): number | undefined {
  const { bytes } = datatypes[datatypeOf(type) ?? 'BYTES']!;
  return bytes === 0 ? undefined : bytes * elementCount(dims);
}

/** ONNX Runtime's tensor in memory of the caller's. */
export function ortTensorIn(room: ArrayBuffer, at: number, type: Tensor.Type, dims: readonly number[]): Tensor {
  const datatype = known(datatypeOf(type) ?? type);
  return tensor(datatype, datatype.view(room, at, elementCount(dims)), dims);
}

function tensor({ ort }: Datatype, data: TensorArray, dims: readonly number[]): Tensor {
  // the constructor's overloads tie each type name to its array; the table above does the same
  return new Tensor(ort as 'float32', data as Float32Array, dims);
}

function known(datatype: string): Datatype {
  const type = datatypes[datatype];
  if (type === undefined) throw new Error(`datatype '${datatype}' is none of ${Object.keys(datatypes).join(', ')}`);
  return type;
}

function datatypeOfArray(data: TensorArray): string {
  if (Array.isArray(data)) return 'BYTES';
  const name = data.constructor.name.replace('Array', '').replace('Big', '').toUpperCase();
  return name.startsWith('FLOAT') ? `FP${name.slice(5)}` : name;
}

function bytesOf(data: Tensor.DataType): Uint8Array {
  return Array.isArray(data) ? encodeStrings(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

const utf8 = new TextDecoder('utf8', { fatal: true, ignoreBOM: true });

/**
 * Elements of a BYTES tensor as text. ONNX strings are UTF-8, and ONNX Runtime's Node binding ends them at a NUL: what
 * would arrive changed throws.
 */
export function decodeStrings(data: Uint8Array): string[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const strings: string[] = [];
  for (let at = 0; at < data.byteLength;) {
    const length = view.getUint32(at, true);
    const bytes = data.subarray(at + 4, at + 4 + length);
    if (bytes.includes(0)) throw new Error(`string ${strings.length} holds a NUL, which ONNX Runtime cannot take`);
    strings.push(decodeText(bytes, strings.length));
    at += 4 + length;
  }
  return strings;
}

function decodeText(bytes: Uint8Array, index: number): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new Error(`string ${index} is not UTF-8, which ONNX Runtime wants`, { cause });
  }
}

/** Raw bytes of a BYTES tensor. */
export function encodeStrings(elements: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat(
    elements.flatMap((element) => {
      const bytes = typeof element === 'string' ? Buffer.from(element) : element;
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}
