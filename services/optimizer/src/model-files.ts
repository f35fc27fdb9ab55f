import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { onnxPieces, readOnnx } from '@modelmill/onnx';
import type { ByteSource, Model } from '@modelmill/onnx';
import type { ArtifactRef, Artifacts } from '@modelmill/store';

/** A file that is read in places, blocking: what a model has in large tensors is not held in memory. */
export interface ModelFile extends ByteSource, Disposable {}

/** Stays open until it is disposed, or the process ends. */
export function openModelFile(path: string): ModelFile {
  const file = openSync(path, 'r');
  const { size } = fstatSync(file);
  // whoever looks at a tensor's bytes twice in a row reads them once
  let last = { at: 0, bytes: new Uint8Array() };
  return {
    size,
    read(at, length) {
      if (last.at === at && last.bytes.length === length) return last.bytes;
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const read = readSync(file, bytes, done, length - done, at + done);
        if (read === 0) throw new Error(`'${path}' ends at byte ${at + done}, wants ${at + length}`);
        done += read;
      }
      last = { at, bytes };
      return bytes;
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** An artifact as a model whose large tensors are read when they are looked at, for as long as this process lives. */
export async function openModel(artifacts: Pick<Artifacts, 'path'>, sha256: string): Promise<Model> {
  return readOnnx(openModelFile(await artifacts.path(sha256)));
}

/** Stores a model, one large tensor in memory at a time. */
export const keepModel = (artifacts: Pick<Artifacts, 'put'>, model: Model): Promise<ArtifactRef> =>
  artifacts.put(onnxPieces(model));
