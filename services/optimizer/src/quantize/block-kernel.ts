import { openKernel, pageBytes } from '@modelmill/data';
import type { KernelMemory } from '@modelmill/data';
import { kernelBase64 } from '../gen/weight-blocks-kernel.js';

/** services/optimizer/assembly/weight-blocks.ts; places are in bytes. */
interface Kernel {
  nearestGrids(...of: [...columns: Columns, symmetric: 0 | 1, scales: number, zeros: number]): void;
  halfQuadraticZeros(...of: [...columns: Columns, scales: number, zeros: number, quotients: number]): void;
  writeSteps(...of: [...columns: Columns, scales: number, zeros: number, packed: number]): void;
}

type Columns = [values: number, k: number, width: number, block: number, bits: number];

let opened: { readonly kernel: Kernel; readonly memory: KernelMemory } | undefined;

/** Once for all: four columns at a time take a sixth to a tenth of what JavaScript takes. */
const open = () => openKernel<Kernel>(kernelBase64, 1);

/** Columns that the kernel takes together. */
const lanes = 4;
/** What values of the columns looked at together take, where four columns do not take more. */
const valueBytes = 1024 * 1024;

/** Some columns of a matrix in the kernel's memory, until the next are brought there. */
export interface KernelColumns {
  /** [k, width]: the columns, and zeros up to a multiple of four. */
  readonly values: Float32Array;
  readonly width: number;
  /** [width, blocks] */
  readonly scales: Float32Array;
  readonly zeros: Float32Array;
  /** [width, blocks, bytes of a block] */
  readonly packed: Uint8Array;
  /** Round to nearest: fills in `scales` and `zeros`. */
  findGrids(symmetric: boolean): void;
  /** Half-quadratic quantization: moves `zeros`, given the grids of round to nearest that are not symmetric. */
  searchZeros(): void;
  /** Fills in `packed`, given the grids. */
  write(): void;
}

export interface BlockSizes {
  readonly k: number;
  readonly block: number;
  readonly bits: number;
}

/** How many of n columns are looked at together. */
export const columnsTogether = (k: number, n: number): number =>
  Math.min(n, Math.max(lanes, Math.floor(valueBytes / (4 * k * lanes)) * lanes));

/** A place for so many columns. */
export function kernelColumns({ k, block, bits }: BlockSizes, columns: number): KernelColumns {
  const { kernel, memory } = (opened ??= open());
  const width = Math.ceil(columns / lanes) * lanes;
  const grids = width * Math.ceil(k / block);
  const packedBytes = (grids * block * bits) / 8;
  // the first page is the compiler's
  const values = pageBytes;
  const scales = values + 4 * k * width;
  const zeros = scales + 4 * grids;
  const packed = zeros + 4 * grids;
  const quotients = packed + packedBytes;
  const missing = quotients + 8 * lanes * block - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
  const { buffer } = memory;
  const columnsInside = new Float32Array(buffer, values, k * width);
  if (width > columns) columnsInside.fill(0);
  return {
    values: columnsInside,
    width,
    scales: new Float32Array(buffer, scales, grids),
    zeros: new Float32Array(buffer, zeros, grids),
    packed: new Uint8Array(buffer, packed, packedBytes),
    findGrids: (symmetric) => kernel.nearestGrids(values, k, width, block, bits, symmetric ? 1 : 0, scales, zeros),
    searchZeros: () => kernel.halfQuadraticZeros(values, k, width, block, bits, scales, zeros, quotients),
    write: () => kernel.writeSteps(values, k, width, block, bits, scales, zeros, packed),
  };
}
