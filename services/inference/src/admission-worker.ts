import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { AdmissionError, checkAdmission } from '@modelmill/onnx';

/** Undefined: admissible. */
export type Verdict = string | undefined;

function verdictOn(path: string): Verdict {
  try {
    checkAdmission(readFileSync(path));
    return undefined;
  } catch (error) {
    if (error instanceof AdmissionError) return error.message;
    throw error;
  }
}

parentPort!.postMessage(verdictOn(workerData as string));
