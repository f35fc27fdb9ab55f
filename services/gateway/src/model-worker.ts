import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { AdmissionError, checkAdmission } from '@modelmill/onnx';
import type { Signature } from '@modelmill/onnx';
import type { WorkerAnswer } from './worker-call.js';

function read(path: string): WorkerAnswer<Signature> {
  try {
    return { kind: 'done', value: checkAdmission(readFileSync(path)).signature };
  } catch (error) {
    if (error instanceof AdmissionError) return { kind: 'refused', reason: error.message };
    throw error;
  }
}

parentPort!.postMessage(read(workerData as string));
