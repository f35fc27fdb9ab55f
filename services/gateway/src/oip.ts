import type { MethodDefinition } from '@grpc/grpc-js';
import { decodeInferResponse, encodeInferRequest, inference } from '@modelmill/contracts';
import type { Calls } from './calls.js';
import type { Caller } from './forward.js';

const methods = inference.GRPCInferenceServiceService;

/** The Open Inference Protocol in messages, on the same way that gRPC callers' bytes take. */
export function createOip({ unary }: Calls) {
  const call =
    <Q, S>({ path, requestSerialize, responseDeserialize }: MethodDefinition<Q, S>) =>
    async (request: Q, caller: Caller): Promise<S> =>
      responseDeserialize(await unary.get(path)!(requestSerialize(request), caller));
  return {
    serverReady: call(methods.serverReady),
    serverMetadata: call(methods.serverMetadata),
    modelReady: call(methods.modelReady),
    modelMetadata: call(methods.modelMetadata),
    /** The `room` right before an only tensor may be written to. */
    async modelInfer(request: inference.ModelInferRequest, caller: Caller, room = 0) {
      const bytes = await unary.get(methods.modelInfer.path)!(encodeInferRequest(request, room), caller);
      return decodeInferResponse(bytes);
    },
    modelConfig: call(methods.modelConfig),
    modelStatistics: call(methods.modelStatistics),
    repositoryIndex: call(methods.repositoryIndex),
    repositoryModelLoad: call(methods.repositoryModelLoad),
    repositoryModelUnload: call(methods.repositoryModelUnload),
    systemSharedMemoryStatus: call(methods.systemSharedMemoryStatus),
    systemSharedMemoryRegister: call(methods.systemSharedMemoryRegister),
    systemSharedMemoryUnregister: call(methods.systemSharedMemoryUnregister),
    cudaSharedMemoryStatus: call(methods.cudaSharedMemoryStatus),
    cudaSharedMemoryRegister: call(methods.cudaSharedMemoryRegister),
    cudaSharedMemoryUnregister: call(methods.cudaSharedMemoryUnregister),
    traceSetting: call(methods.traceSetting),
    logSettings: call(methods.logSettings),
  };
}

export type Oip = ReturnType<typeof createOip>;
