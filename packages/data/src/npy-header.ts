import type { BinaryContent } from './binary-content.js';
import { DatasetError } from './table.js';

/** How the elements of an NPY file lie (numpy.lib.format, versions 1 to 3). */
export interface NpyHeader {
  readonly type: NpyType;
  readonly isLittleEndian: boolean;
  /** Whether the first axis runs fastest. */
  readonly isFortran: boolean;
  readonly shape: number[];
}

export type NpyType = keyof typeof npyTypes;

/** Bytes of an element and how one is read. */
export const npyTypes = {
  f4: { bytes: 4, read: (view, at, little) => view.getFloat32(at, little) },
  f8: { bytes: 8, read: (view, at, little) => view.getFloat64(at, little) },
  i1: { bytes: 1, read: (view, at) => view.getInt8(at) },
  u1: { bytes: 1, read: (view, at) => view.getUint8(at) },
  i2: { bytes: 2, read: (view, at, little) => view.getInt16(at, little) },
  u2: { bytes: 2, read: (view, at, little) => view.getUint16(at, little) },
  i4: { bytes: 4, read: (view, at, little) => view.getInt32(at, little) },
  u4: { bytes: 4, read: (view, at, little) => view.getUint32(at, little) },
  i8: { bytes: 8, read: (view, at, little) => Number(view.getBigInt64(at, little)) },
  u8: { bytes: 8, read: (view, at, little) => Number(view.getBigUint64(at, little)) },
  b1: { bytes: 1, read: (view, at) => view.getUint8(at) },
} satisfies Record<string, { bytes: number; read(view: DataView, at: number, little: boolean): number }>;

const mostHeaderBytes = 65_536;
const mostAxes = 8;

export async function readNpyHeader(content: BinaryContent, what: string): Promise<NpyHeader> {
  const magic = Buffer.from(await content.take(8));
  if (magic.toString('latin1', 0, 6) !== '\x93NUMPY') {
    throw new DatasetError(`${what}: got ${magic.toString('hex', 0, 6)} at the start, wanted an NPY file`);
  }
  const version = magic[6]!;
  if (version < 1 || version > 3) throw new DatasetError(`${what}: got NPY version ${version}, wanted 1 to 3`);
  const length = version === 1 ? (await content.take(2)).readUInt16LE() : (await content.take(4)).readUInt32LE();
  if (length > mostHeaderBytes) {
    throw new DatasetError(`${what}: got a header of ${length} bytes, wanted at most ${mostHeaderBytes}`);
  }
  return parseHeader((await content.take(length)).toString('utf8'), what);
}

/** The header is a Python dictionary of three entries. */
function parseHeader(text: string, what: string): NpyHeader {
  const descr = /'descr': *('[^']*'|\[)/.exec(text)?.[1] ?? 'none';
  const [, order, type = ''] = /^'([<>|=]?)([a-z][0-9])'$/.exec(descr) ?? [];
  if (!isNpyType(type)) {
    const known = Object.keys(npyTypes).join(', ');
    throw new DatasetError(`${what}: got elements of type ${descr}, wanted one of ${known}`);
  }
  const fortran = /'fortran_order': *(True|False)/.exec(text)?.[1];
  const sizes = /'shape': *\(((?: *[0-9]{1,15} *,?)*)\)/.exec(text)?.[1];
  if (fortran === undefined || sizes === undefined) {
    throw new DatasetError(
      `${what}: got the header ${text.trim().slice(0, 120)}, wanted descr, fortran_order and shape`,
    );
  }
  const shape = (sizes.match(/[0-9]+/g) ?? []).map(Number);
  if (shape.length === 0 || shape.length > mostAxes) {
    throw new DatasetError(`${what}: got ${shape.length} axes, wanted 1 to ${mostAxes}`);
  }
  return { type, isLittleEndian: order !== '>', isFortran: fortran === 'True', shape };
}

const isNpyType = (type: string): type is NpyType => Object.hasOwn(npyTypes, type);
