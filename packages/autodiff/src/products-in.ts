import { topological } from './topological.js';
import { size } from './value.js';
import type { Operation, Value } from './value.js';

/** Multiplications in the products of matrices, and in the convolutions, that values are computed by. */
export function productsIn(roots: readonly Value[]): number {
  const operations = new Set(
    topological(roots).flatMap(({ source }) => (source.kind === 'operation' ? [source.operation] : [])),
  );
  return [...operations].reduce((sum, operation) => sum + (products[operation.opType]?.(operation) ?? 0), 0);
}

/** One row per operator: elements times the products that each is the sum of. */
const products: Readonly<Record<string, (operation: Operation) => number>> = {
  MatMul: ({ inputs: [a], outputs: [y] }) => size(y!.shape) * (a!.shape.at(-1) ?? 1),
  Gemm: ({ inputs: [a, b], outputs: [y] }) => Math.round(Math.sqrt(size(y!.shape) * size(a!.shape) * size(b!.shape))),
  Conv: ({ inputs: [, weight], outputs: [y] }) => size(y!.shape) * size(weight!.shape.slice(1)),
  ConvTranspose: ({ inputs: [x, weight] }) => size(x!.shape) * size(weight!.shape.slice(1)),
};
