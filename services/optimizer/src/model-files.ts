import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { onnxPieces, readOnnx, splitOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openModelFiles } from '@modelmill/store';
import type { Artifacts, ModelRef } from '@modelmill/store';

/** Artifacts, and how large an ONNX file among them may be: a larger model's weights lie in a file of their own. */
export interface ModelArtifacts extends Pick<Artifacts, 'put' | 'putSplit' | 'path'> {
  readonly mostFileBytes: number;
}

/** An artifact as a model whose large tensors are read when they are looked at, for as long as this process lives. */
export async function openModel(artifacts: Pick<Artifacts, 'path'>, sha256: string): Promise<Model> {
  const { file, beside } = openModelFiles(await artifacts.path(sha256));
  return readOnnx(file, beside);
}

/** Stores a model, one large tensor in memory at a time. */
export async function keepModel(artifacts: ModelArtifacts, model: Model): Promise<ModelRef> {
  const split = splitOnnx(model, artifacts.mostFileBytes);
  if (!split) return artifacts.put(onnxPieces(model));
  return artifacts.putSplit(split.data(), (sha256) => split.file(sha256));
}

/** From here on weights are written beside: ONNX Runtime maps them there, and need not hold them twice. */
const mostProbeBytes = 2 ** 20;

/** Writes a model that is opened once, in a folder of its own. */
export async function writeModel(path: string, model: Model): Promise<void> {
  const split = splitOnnx(model, mostProbeBytes);
  if (!split) return writeFile(path, onnxPieces(model));
  const location = randomBytes(32).toString('hex'); // runners look for no other name
  await writeFile(join(dirname(path), location), split.data());
  await writeFile(path, split.file(location));
}
