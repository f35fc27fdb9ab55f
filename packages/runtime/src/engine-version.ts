import { env } from 'onnxruntime-node';

/** Of ONNX Runtime, such as `1.30.0`. */
export const engineVersion: string = env.versions.node ?? 'unknown';
