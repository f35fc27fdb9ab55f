import { DatasetError } from '@modelmill/data';
import { OnnxFormatError, ShapeError } from '@modelmill/onnx';
import { RunnerError } from '@modelmill/runtime';
import { RpcError } from '@modelmill/service-kit';
import { JobFailedError, NotFoundError } from '@modelmill/store';

const kinds = [RpcError, NotFoundError, DatasetError, OnnxFormatError, ShapeError, JobFailedError];

/** Whether every other try would end in the same way. */
export function isFinal(error: unknown): error is Error {
  if (kinds.some((kind) => error instanceof kind)) return true;
  return error instanceof RunnerError && ['model', 'timeout', 'memory'].includes(error.kind);
}
