import { parentPort, workerData } from 'node:worker_threads';
import { AdmissionError, checkAdmission } from '@modelmill/onnx';
import { openModelFiles } from '@modelmill/store';

/** Undefined: admissible. */
export type Verdict = string | undefined;

/** What to look at. */
export interface Suspect {
  readonly path: string;
  /** Digest of the file beside it that holds its weights. */
  readonly data: string | undefined;
}

function verdictOn({ path, data }: Suspect): Verdict {
  using files = openModelFiles(path);
  try {
    const known = data === undefined ? [] : [data];
    const beside = { get: (name: string) => (name === data ? files.beside.get(name) : undefined), keys: () => known };
    checkAdmission(files.file.read(0, files.file.size), {}, data === undefined ? undefined : beside);
    return undefined;
  } catch (error) {
    if (error instanceof AdmissionError) return error.message;
    throw error;
  }
}

parentPort!.postMessage(verdictOn(workerData as Suspect));
