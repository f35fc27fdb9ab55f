import { status } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';

// The texts are those that clients and tests of the Open Inference Protocol look for.

type Shape = readonly number[];

const invalid = (message: string) => new RpcError(status.INVALID_ARGUMENT, message);

export const modelNotFound = (model: string) =>
  new RpcError(status.NOT_FOUND, `Request for unknown model: '${model}' is not found`);
export const versionNotFound = (model: string, version: string) =>
  new RpcError(status.NOT_FOUND, `Request for unknown model: '${model}' version ${version} is not found`);
export const noVersions = (model: string) =>
  new RpcError(status.NOT_FOUND, `Request for unknown model: '${model}' has no available versions`);
export const versionNotReady = (model: string, version: string) =>
  new RpcError(status.UNAVAILABLE, `Request for unknown model: '${model}' version ${version} is not at ready state`);

export const modelTooLarge = (model: string, version: string, got: number, runners: number, budget: number) =>
  new RpcError(
    status.FAILED_PRECONDITION,
    `model '${model}' version ${version} takes ${got} bytes of memory in ${runners} runners, ` +
      `and MILL_MODEL_MEMORY_BYTES allows ${budget}`,
  );
export const coldLoadFailed = (model: string, version: string, cause: unknown) =>
  new RpcError(
    status.UNAVAILABLE,
    `Request for unknown model: '${model}' version ${version} is not at ready state: it could not be loaded`,
    { cause },
  );
export const deadlineWhileLoading = (model: string, version: string) =>
  new RpcError(
    status.DEADLINE_EXCEEDED,
    `the deadline passed while model '${model}' version ${version} was being loaded`,
  );
export const loadsTooLong = (model: string, version: string) =>
  new RpcError(status.UNAVAILABLE, `model '${model}' version ${version} is still being loaded`);

export const notInMemory = (model: string, version: string) =>
  new RpcError(status.FAILED_PRECONDITION, `model '${model}' version ${version} is not in memory`);
export const noShadow = (model: string, label: string) =>
  new RpcError(status.NOT_FOUND, `label '${label}' of model '${model}' has no shadow on this replica`);

export const unexpectedInput = (model: string, input: string) =>
  invalid(`unexpected inference input '${input}' for model '${model}'`);
export const missingInputs = (model: string, want: number, got: readonly string[], missing: readonly string[]) =>
  invalid(
    `expected ${want} inputs but got ${got.length} inputs for model '${model}'. Got input(s) [${quoted(got)}], ` +
      `but missing required input(s) [${quoted(missing)}]. Please provide all required input(s).`,
  );
export const duplicateInput = (input: string) => invalid(`input '${input}' already exists in request`);
export const duplicateOutput = (output: string) => invalid(`output '${output}' already exists in request`);
export const unexpectedOutput = (model: string, output: string) =>
  invalid(`unexpected inference output '${output}' for model '${model}'`);
export const wrongShape = (model: string, input: string, want: Shape, got: Shape) =>
  invalid(`unexpected shape for input '${input}' for model '${model}'. Expected [${want}], got [${got}]`);
export const wrongDatatype = (model: string, input: string, got: string, want: string) =>
  invalid(`inference input '${input}' data-type is '${got}', but model '${model}' expects '${want}'`);
export const wrongByteSize = (model: string, input: string, want: number, got: number) =>
  invalid(`input byte size mismatch for input '${input}' for model '${model}'. Expected ${want}, got ${got}`);
export const shapeTooLarge = (input: string, limit: number) =>
  invalid(
    `byte size overflow for input '${input}': its shape causes total element count to exceed maximum size of ${limit}`,
  );
export const wrongStringCount = (model: string, input: string, want: number, got: number) =>
  invalid(`expected ${want} string elements for inference input '${input}' for model '${model}', got ${got}`);
export const incompleteString = (model: string, input: string) =>
  invalid(`incomplete string length indicator or data for inference input '${input}' for model '${model}'`);
export const mixedBatchSizes = (model: string, input: string) =>
  invalid(`input '${input}' batch size does not match other inputs for '${model}'`);
export const rawAndTyped = (model: string, input: string) =>
  invalid(`contents field must not be specified when using raw_input_contents for '${input}' for model '${model}'`);
export const noData = (model: string, input: string) =>
  invalid(`unable to find data for input tensor '${input}' for model '${model}' in request.`);
export const tooMuchRawData = (model: string, want: number, got: number) =>
  invalid(`expected ${want} entries of raw_input_contents for model '${model}', got ${got}`);
export const wrongContents = (model: string, input: string, got: string, want: string) =>
  invalid(
    `unexpected explicit tensor data for input tensor '${input}' for model '${model}' of type '${got}', ` +
      `expected datatype '${want}'`,
  );
export const outOfRange = (model: string, input: string, value: number, datatype: string) =>
  invalid(`value ${value} of input '${input}' for model '${model}' is outside of ${datatype}`);
export const reservedParameter = (name: string) =>
  invalid(`parameter keys starting with 'triton_' are reserved for Triton usage, got '${name}'`);
export const notClassifiable = (output: string, datatype: string) =>
  invalid(`class result not available for output '${output}' due to unsupported type '${datatype}'`);
export const badClassification = (output: string, got: string) =>
  invalid(`'classification' of output '${output}' is ${got}, wanted a whole number from 1 on`);
export const badParameter = (name: string, got: string, want: string) =>
  invalid(`parameter '${name}' is ${got}, wanted ${want}`);
export const noSharedMemory = () =>
  new RpcError(status.UNIMPLEMENTED, 'Client shared memory is disabled. This server has none to enable.');
export const noRegion = (kind: string, name: string) =>
  new RpcError(status.NOT_FOUND, `Unable to find ${kind} shared memory region: '${name}'`);
export const unknownSetting = (name: string) => invalid(`setting '${name}' is not known`);
export const badSetting = (name: string, want: string) => invalid(`setting '${name}' wants ${want}`);
export const fixedLogFile = () =>
  new RpcError(status.UNIMPLEMENTED, 'log file location can not be updated through network protocol');
export const fixedTraceSetting = (name: string, got: string, now: string) =>
  new RpcError(
    status.UNIMPLEMENTED,
    `trace setting '${name}' can not be updated through network protocol: it is '${now}', got '${got}'`,
  );
export const traceOfUnknown = (model: string) => new RpcError(status.NOT_FOUND, `Request for unknown model : ${model}`);

export const queueFull = (model: string, limit: number) =>
  new RpcError(status.RESOURCE_EXHAUSTED, `Exceeds maximum queue size: model '${model}' has ${limit} requests waiting`);
export const queueBytesFull = (model: string, limit: number) =>
  new RpcError(
    status.RESOURCE_EXHAUSTED,
    `Exceeds maximum queue size: model '${model}' has ${limit} bytes of requests waiting`,
  );
export const answerTooLate = (model: string, expectedMs: number, patienceMs: number) =>
  new RpcError(
    status.RESOURCE_EXHAUSTED,
    `model '${model}' is overloaded: an answer is expected in ${Math.ceil(expectedMs)} ms, and wanted in ${Math.floor(patienceMs)} ms`,
  );
export const queueTimeout = () => new RpcError(status.UNAVAILABLE, 'Request timeout expired');
export const deadlinePassed = () => new RpcError(status.DEADLINE_EXCEEDED, 'the deadline passed before the model ran');
export const callerGone = () => new RpcError(status.CANCELLED, 'the caller went away before the model ran');
export const stopping = () =>
  new RpcError(
    status.UNAVAILABLE,
    'Server is stopping, scheduler for model has stopped accepting new inference requests',
  );

export const executionTooLong = (model: string, version: string, cause: Error) =>
  new RpcError(status.DEADLINE_EXCEEDED, `model '${model}' version ${version} was stopped: ${cause.message}`, {
    cause,
  });
export const executionTooBig = (model: string, version: string, cause: Error) =>
  new RpcError(status.RESOURCE_EXHAUSTED, `model '${model}' version ${version} was stopped: ${cause.message}`, {
    cause,
  });
export const executionCrashed = (model: string, version: string, cause: Error) =>
  new RpcError(status.INTERNAL, `model '${model}' version ${version} ended its runner with this request`, { cause });
export const executionFailed = (model: string, version: string, cause: Error) =>
  invalid(`model '${model}' version ${version} could not run this request: ${cause.message}`);

export const loadFailed = (model: string, reason: string) =>
  new RpcError(status.INTERNAL, `failed to load '${model}', ${reason}`);
export const loadUnknown = (model: string) =>
  new RpcError(status.NOT_FOUND, `failed to load '${model}', failed to poll from model repository`);
export const loadParameter = (model: string, name: string) =>
  new RpcError(
    status.INTERNAL,
    `failed to load '${model}', failed to poll from model repository: parameter '${name}' is not supported`,
  );
export const unloadUnknown = (model: string) =>
  new RpcError(status.NOT_FOUND, `failed to unload '${model}', it is not in the model repository`);
export const namedRepository = () =>
  new RpcError(status.UNIMPLEMENTED, `'repository_name' specification is not supported`);
export const emptyModelName = () => invalid('Model name cannot be empty. Please enter a valid name to deploy.');

const quoted = (names: readonly string[]) => names.map((name) => `'${name}'`).join(',');
