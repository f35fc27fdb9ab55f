import { OnnxFormatError, readOnnx } from '@modelmill/onnx';

/** As artifacts are named: no path, and nothing but weights that were stored with the model. */
const digest = /^[0-9a-f]{64}$/;

/** Whether a model keeps weights in a file beside itself that is named by its digest, and in no other. */
export function keepsWeightsBeside(model: Uint8Array): boolean {
  if (!Buffer.from(model.buffer, model.byteOffset, model.byteLength).includes('location')) return false; // nearly all
  const named = new Set<string>();
  const there = { size: Number.MAX_SAFE_INTEGER, read: () => new Uint8Array() };
  try {
    readOnnx(model, {
      get(location) {
        named.add(location);
        return digest.test(location) ? there : undefined;
      },
      keys: () => [],
    });
  } catch (error) {
    if (error instanceof OnnxFormatError) return false;
    throw error;
  }
  return named.size > 0;
}
