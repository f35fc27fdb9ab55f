import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MatrixLayer } from './matrix-layers.js';

/** Shows the values that tensors take over the examples, batch by batch. */
export type Watch = (
  tensors: readonly string[],
  see: (name: string, values: Float32Array) => Promise<void>,
) => Promise<void>;

/**
 * The Hessian of each layer's squared error by its weights, 2·mean(xxᵀ) over the rows x it takes, [k, k]. Those of one
 * round over the examples together stay within `mostBytes`, or are one. Layers have to be asked for in their order.
 */
export function createHessians(layers: readonly MatrixLayer[], watch: Watch, mostBytes: number) {
  const sizes = new Map(layers.map(({ node, matrix }) => [node.inputs[0]!, matrix.k]));
  let found = new Map<string, Hessian>();
  return async ({ node }: MatrixLayer): Promise<Float64Array> => {
    const input = node.inputs[0]!;
    if (!found.has(input)) {
      found = new Map();
      let bytes = 0;
      for (const [name, size] of [...sizes].slice([...sizes.keys()].indexOf(input))) {
        bytes += 8 * size * size;
        if (found.size > 0 && bytes > mostBytes) break;
        found.set(name, hessian(size));
      }
      await watch([...found.keys()], async (name, values) => found.get(name)!.add(values));
    }
    return found.get(input)!.mean();
  };
}

interface Hessian {
  /** Rows of so many inputs. */
  add(values: Float32Array): Promise<void>;
  mean(): Float64Array;
}

const rowsAtOnce = 16;

function hessian(size: number): Hessian {
  const sums = new Float64Array(size * size);
  let rows = 0;
  return {
    async add(values) {
      for (let at = 0; at < values.length; at += size) {
        const x = values.subarray(at, at + size);
        for (let i = 0; i < size; i++) {
          const by = x[i]!;
          if (by === 0) continue;
          for (let j = i, to = i * size + i; j < size; j++, to++) sums[to]! += by * x[j]!;
        }
        if (++rows % rowsAtOnce === 0) await nextTurn();
      }
    },
    mean() {
      const mean = new Float64Array(size * size);
      for (let i = 0; i < size; i++) {
        for (let j = i; j < size; j++) mean[i * size + j] = mean[j * size + i] = (2 * sums[i * size + j]!) / rows;
      }
      return mean;
    },
  };
}
