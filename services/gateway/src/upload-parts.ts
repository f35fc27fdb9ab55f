import type { registry } from '@modelmill/contracts';
import * as errors from './errors.js';

/** Where an upload's files lie in it: the ONNX file, then those it keeps weights in. */
export interface UploadParts {
  readonly onnxBytes: number;
  readonly data: readonly { readonly location: string; readonly from: number; readonly size: number }[];
}

const mostFiles = 10_000;

/** Throws an RpcError where the sizes stated are not those of what was sent. */
export function partsOf(onnxBytes: number, files: readonly registry.UploadedData[], sent: number): UploadParts {
  if (files.length === 0 && onnxBytes === 0) return { onnxBytes: sent, data: [] };
  if (onnxBytes === 0) throw errors.onnxBytesMissing();
  if (files.length > mostFiles) throw errors.tooManyFiles(files.length, mostFiles);
  const seen = new Set<string>();
  let end = onnxBytes;
  const data = files.map(({ location, sizeBytes }) => {
    if (seen.has(location)) throw errors.fileTwice(location);
    seen.add(location);
    const from = end;
    end += Number(sizeBytes);
    return { location, from, size: Number(sizeBytes) };
  });
  if (end !== sent) throw errors.wrongParts(end, sent);
  return { onnxBytes, data };
}
