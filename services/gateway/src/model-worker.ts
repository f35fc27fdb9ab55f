import { parentPort, workerData } from 'node:worker_threads';
import { AdmissionError, checkAdmission, onnxPieces, splitOnnx } from '@modelmill/onnx';
import type { Signature } from '@modelmill/onnx';
import { openFileArtifacts, openFileBytes } from '@modelmill/store';
import type { FileBytes, ModelRef } from '@modelmill/store';
import type { UploadParts } from './upload-parts.js';
import type { WorkerAnswer } from './worker-call.js';

/** An upload to read, and how it is kept. */
export interface AskedModel extends UploadParts {
  readonly path: string;
  readonly artifactsDir: string;
  readonly mostFileBytes: number;
}

export interface ReadModel {
  readonly signature: Signature;
  /** What it was written as, where it came in several files. */
  readonly artifact?: ModelRef;
}

async function read(asked: AskedModel): Promise<WorkerAnswer<ReadModel>> {
  const { path, onnxBytes, data, artifactsDir, mostFileBytes } = asked;
  using whole = openFileBytes(path, 0, onnxBytes);
  const files = new Map<string, FileBytes>();
  try {
    for (const { location, from, size } of data) files.set(location, openFileBytes(path, from, size));
    const { signature, model } = checkAdmission(whole.read(0, onnxBytes), {}, data.length > 0 ? files : undefined);
    if (data.length === 0) return { kind: 'done', value: { signature } };
    // whatever it looked like, it is stored as we write it
    const artifacts = await openFileArtifacts(artifactsDir);
    const split = splitOnnx(model, mostFileBytes);
    const artifact = split
      ? await artifacts.putSplit(split.data(), (sha256) => split.file(sha256))
      : await artifacts.put(onnxPieces(model));
    return { kind: 'done', value: { signature, artifact } };
  } catch (error) {
    if (error instanceof AdmissionError) return { kind: 'refused', reason: error.message };
    throw error;
  } finally {
    for (const file of files.values()) file[Symbol.dispose]();
  }
}

parentPort!.postMessage(await read(workerData as AskedModel));
