import { writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openSession } from '../session.js';

export type Feeds = Readonly<Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>>;

/** A model of float tensors on the CPU. */
export async function runnable(model: Model): Promise<(feeds: Feeds) => Promise<Record<string, Float32Array>>> {
  const session = await openSession(writeOnnx(model), { providers: ['cpu'], threads: 1 });
  return async (feeds) => {
    const tensors = Object.entries(feeds).map(([name, value]) => [name, { datatype: 'FP32', ...value }] as const);
    const outputs = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
  };
}

/** Numbers in [-1, 1) that every run repeats. */
export function numbers(count: number, { seed = 1 } = {}): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}
