import type { inference } from '@modelmill/contracts';
import { unary } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';
import * as errors from './errors.js';

type Calls = Pick<
  inference.GRPCInferenceServiceServer,
  | `systemSharedMemory${'Status' | 'Register' | 'Unregister'}`
  | `cudaSharedMemory${'Status' | 'Register' | 'Unregister'}`
>;

/** Tensors travel in messages: there is no region, none can be registered, and to unregister what is not there is no fault. */
export function sharedMemoryHandlers(telemetry: Telemetry): Calls {
  const status = (kind: 'system' | 'CUDA') =>
    unary(async ({ name }: { name: string }) => {
      if (name !== '') throw errors.noRegion(kind, name);
      return { regions: {} };
    }, telemetry);
  const register = unary(() => Promise.reject(errors.noSharedMemory()), telemetry);
  const unregister = unary(async () => ({}), telemetry);
  return {
    systemSharedMemoryStatus: status('system'),
    systemSharedMemoryRegister: register,
    systemSharedMemoryUnregister: unregister,
    cudaSharedMemoryStatus: status('CUDA'),
    cudaSharedMemoryRegister: register,
    cudaSharedMemoryUnregister: unregister,
  };
}
