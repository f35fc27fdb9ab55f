import { writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** Float tensors by name; class indices as bigint, conditions as bytes. */
export type Feeds = Readonly<
  Record<string, { dims: readonly number[]; data: Float32Array | BigInt64Array | Uint8Array<ArrayBuffer> }>
>;
export type Run = (feeds: Feeds) => Promise<Record<string, Float32Array>>;

/** A model in ONNX Runtime, the engine that trains and serves. */
export async function runnable(model: Model, options: InferenceSession.SessionOptions = {}): Promise<Run> {
  const given = { logSeverityLevel: 3, intraOpNumThreads: 1, ...options } as const;
  const session = await InferenceSession.create(writeOnnx(model), given);
  return async (feeds) => {
    const tensors = Object.entries(feeds).map(([name, { dims, data }]) => {
      if (data instanceof BigInt64Array) return [name, new Tensor('int64', data, dims)] as const;
      if (data instanceof Uint8Array) return [name, new Tensor('bool', data, dims)] as const;
      return [name, new Tensor('float32', data, dims)] as const;
    });
    const outputs = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
  };
}

/** Numbers in [low, high) that every run repeats, none closer to a kink at 0 than `away`. */
export function numbers(count: number, { low = -1, high = 1, away = 0, seed = 1 } = {}): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length: count }, () => {
    for (;;) {
      state = (Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9) >>> 0;
      const value = low + ((high - low) * (state >>> 8)) / 2 ** 24;
      if (Math.abs(value) >= away) return value;
    }
  });
}
