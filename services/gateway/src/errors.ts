import { status } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';

/** An error whose REST code is not the one of its gRPC status. */
export class HttpError extends RpcError {
  constructor(
    readonly httpStatus: number,
    code: status,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(code, message);
  }
}

const invalid = (message: string, options?: ErrorOptions) => new RpcError(status.INVALID_ARGUMENT, message, options);
const notFound = (message: string) => new RpcError(status.NOT_FOUND, message);
const precondition = (message: string) => new RpcError(status.FAILED_PRECONDITION, message);

// the doors
export const keyMissing = () =>
  new RpcError(status.UNAUTHENTICATED, 'no key was given: send the header authorization: Bearer <key>');
export const keyUnknown = () => new RpcError(status.UNAUTHENTICATED, 'the key that was given is not one of the mesh');
export const wrongHost = (host: string) =>
  new HttpError(421, status.PERMISSION_DENIED, `host '${host}' is not one this server answers for`);
export const wrongOrigin = (origin: string) =>
  new HttpError(403, status.PERMISSION_DENIED, `origin '${origin}' may not call this server`);
export const wrongVerb = (allowed: readonly string[]) =>
  new HttpError(405, status.UNIMPLEMENTED, 'Method Not Allowed', { allow: allowed.join(', ') });
export const noRoute = () => new HttpError(404, status.UNIMPLEMENTED, 'Not Found');
export const urlTooLong = (length: number, limit: number) =>
  new HttpError(414, status.INVALID_ARGUMENT, `the URL has ${length} characters, at most ${limit} are taken`);
export const unknownEncoding = (encoding: string) =>
  new HttpError(501, status.UNIMPLEMENTED, `Unsupported compression type '${encoding}'`, {
    'accept-encoding': 'gzip, deflate',
  });
export const badEncoding = (encoding: string, cause: unknown) => invalid(`the body is not ${encoding}`, { cause });
export const bodyTooLarge = (limit: number) =>
  new HttpError(413, status.RESOURCE_EXHAUSTED, `the body is larger than ${limit} bytes, the most that is taken`);
export const bodyTooSlow = (ms: number) =>
  new HttpError(408, status.DEADLINE_EXCEEDED, `nothing of the body came for ${ms} ms`);
export const callerGone = (cause: Error) =>
  new RpcError(status.CANCELLED, 'the caller went away within the body', { cause });
export const doorCloses = () => new RpcError(status.UNAVAILABLE, 'the server is going down');
export const badQuery = (name: string, got: string, wanted: string) =>
  invalid(`query parameter '${name}' is '${got}', wanted ${wanted}`);
export const unknownQuery = (name: string, known: readonly string[]) =>
  invalid(`query parameter '${name}' is not known here; wanted ${known.join(', ') || 'none'}`);
export const badJson = (message: string) => invalid(message);

// forwarding
export const noReplica = (service: string) => new RpcError(status.UNAVAILABLE, `no replica of ${service} is up`);

export const unreachable = (service: string, cause: Error) =>
  new RpcError(status.UNAVAILABLE, `a replica of ${service} can not be reached`, { cause });

// uploads
export const headerFirst = (got: string) => invalid(`the first message is ${got}, wanted the header`);
export const chunkWanted = (got: string) => invalid(`a message after the header is ${got}, wanted a chunk`);
export const chunkTooLarge = (got: number, limit: number) =>
  invalid(`a chunk has ${got} bytes, at most ${limit} are taken`);
export const uploadTooLarge = (limit: number) =>
  new HttpError(413, status.RESOURCE_EXHAUSTED, `the upload is larger than ${limit} bytes, the most that is taken`);
export const uploadStalled = (ms: number) =>
  new HttpError(408, status.DEADLINE_EXCEEDED, `nothing of the upload came for ${ms} ms`);
export const badDigest = (got: string) =>
  invalid(`sha256 is '${got.slice(0, 80)}', wanted 64 lower-case hex characters`);
export const wrongDigest = (message: string, cause: Error) => invalid(message, { cause });
export const diskFull = (cause: Error) =>
  Object.assign(new RpcError(status.RESOURCE_EXHAUSTED, 'the artifact store has no room left', { cause }), {
    httpStatus: 507,
  });
export const badName = (what: string, got: string) =>
  invalid(`${what} is '${got.slice(0, 80)}', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}`);
export const notAdmissible = (reason: string) => invalid(`the model is not admissible: ${reason}`);
export const unreadableDataset = (reason: string) => invalid(reason);
export const formatMissing = () => invalid("format is missing, wanted 'csv', 'ndjson', 'idx', 'npy' or 'text'");
export const badSplits = (problem: string) => invalid(`splits: ${problem}`);
export const tooManyRows = (got: number, limit: number) => invalid(`rows is ${got}, at most ${limit} are shown`);

// registry
export const labelMissing = () => invalid('label is missing');
export const noTargets = (label: string) => invalid(`label '${label}' has no targets, wanted at least one`);
export const targetTwice = (label: string, version: string) =>
  invalid(`label '${label}' names version ${version} twice`);
export const badWeight = (version: string) => invalid(`the weight of version ${version} is 0, wanted at least 1`);
export const noSuchVersion = (model: string, version: string) =>
  notFound(`model '${model}' has no version '${version}'`);
export const notAdmitted = (model: string, version: string, state: string) =>
  precondition(`version ${version} of model '${model}' is ${state}, a label wants admitted versions`);
export const noLabel = (model: string, label: string) =>
  notFound(`model '${model}' has no label '${label.slice(0, 80)}'`);
export const noShadow = (model: string, label: string) =>
  notFound(`label '${label}' of model '${model}' has no shadow`);
export const noReport = (model: string, version: string) =>
  notFound(`version ${version} of model '${model}' has no report`);
export const noExternalData = (model: string, version: string) =>
  notFound(`version ${version} of model '${model}' has no external data: all of it is in its ONNX file`);
export const onnxBytesMissing = () =>
  invalid('onnx_bytes is 0, wanted the bytes of the ONNX file before its other files');
export const tooManyFiles = (got: number, limit: number) =>
  invalid(`external_data has ${got} files, wanted at most ${limit}`);
export const fileTwice = (location: string) => invalid(`external_data has '${location.slice(0, 80)}' twice`);
export const wrongParts = (stated: number, got: number) =>
  invalid(`onnx_bytes and external_data state ${stated} bytes, ${got} came`);
export const ruleMissing = () => invalid('rule is missing');
export const badMinimize = (got: string, known: readonly string[]) =>
  invalid(`minimize is '${got}', wanted one of ${known.join(', ')}`);
export const badDrop = (got: number) => invalid(`max_accuracy_drop is ${got}, wanted a fraction from 0 to 1`);
export const badMetric = (got: string, known: readonly string[]) =>
  invalid(`metric is '${got}', wanted one of ${known.join(', ')}`);
export const noBaseline = (model: string, metric: string) =>
  precondition(`model '${model}' has no admitted version with the metric ${metric}`);
export const badBaseline = (model: string, version: string, problem: string) =>
  precondition(`the baseline, version ${version} of model '${model}', ${problem}`);
export const noCandidate = (model: string, reasons: string) =>
  precondition(`no version of model '${model}' meets the rule: ${reasons}`);

// inference over REST
export const notAnObject = () => invalid('the body is not a JSON object');
export const wrongField = (field: string, got: string, wanted: string) =>
  invalid(`Unable to parse '${field}': got ${got}, wanted ${wanted}`);
export const unknownField = (place: string, field: string, known: readonly string[]) =>
  invalid(`${place} has no field '${field}'; wanted ${known.map((name) => `'${name}'`).join(', ')}`);
export const missingField = (place: string, field: string) => invalid(`${place} has no '${field}'`);
export const onlyOneData = (input: string, got: string) =>
  invalid(
    `Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', ` +
      `'shared_memory_region' in 'parameters'. ${got} (input '${input}')`,
  );
export const noJsonForm = (datatype: string, input: string) =>
  invalid(
    `receiving ${datatype} data via JSON is not supported. Please use the binary data format for input '${input}'`,
  );
export const noJsonFormOut = (datatype: string, output: string) =>
  invalid(
    `sending ${datatype} data via JSON is not supported. Please use the binary data format for output '${output}'`,
  );
export const badData = (input: string, problem: string) => invalid(`input '${input}': ${problem}`);
export const raggedData = (input: string) => invalid(`input '${input}': its rows differ in length`);
export const binaryTooShort = (input: string, missing: number, model: string) =>
  invalid(`unexpected size for input '${input}', expecting ${missing} additional bytes for model '${model}'`);
export const binaryLeftOver = (model: string, bytes: number) =>
  invalid(`unexpected additional input data for model '${model}': ${bytes} bytes`);
export const binaryWithoutHeader = (input: string) =>
  invalid(`input '${input}' has binary_data_size, which wants the header Inference-Header-Content-Length`);
export const badInferenceHeader = (got: string) =>
  invalid(`Unable to parse Inference-Header-Content-Length, got: ${got.slice(0, 40)}`);
export const inferenceHeaderRange = (length: number, got: number) =>
  invalid(`inference header size should be in range (0, ${length}), got: ${got}`);
export const rawOneInput = (model: string, wanted: number) =>
  invalid(
    `Raw request must only have 1 input (found 1) to be deduced but got ${wanted} inputs in '${model}' model configuration`,
  );
export const rawShape = (input: string) =>
  invalid(
    `The shape of the raw input '${input}' can not be deduced because there are more than one variable-sized dimension`,
  );
export const rawString = (input: string) =>
  invalid(`For BYTE datatype raw input '${input}', the model must have input shape [1]`);
export const rawSize = (input: string, got: number, step: number) =>
  invalid(`the raw input '${input}' has ${got} bytes, wanted a multiple of ${step}`);
export const notReady = (model: string) => new RpcError(status.UNAVAILABLE, `Model with name ${model} is not ready.`);
export const versionNotReady = () => new RpcError(status.UNAVAILABLE, 'Model version not ready');
export const unknownModel = (model: string) => notFound(`Request for unknown model: '${model}' is not found`);
export const namedRepository = () =>
  new RpcError(status.UNIMPLEMENTED, "'repository_name' specification is not supported");
export const badReady = () => invalid("Invalid value for 'ready': expected a boolean");

// V1
export const instancesOrInputs = (got: string) => invalid(`the body wants either 'instances' or 'inputs', got ${got}`);
export const noInputs = (model: string) => invalid(`model '${model}' has no inputs`);
export const oneOfInputs = (model: string, names: readonly string[]) =>
  invalid(`model '${model}' has inputs ${names.map((name) => `'${name}'`).join(', ')}: give each by its name`);
export const unknownSignature = (got: string) =>
  notFound(`signature '${got}' is not known, every model has 'serving_default'`);
export const noBatchAxis = (output: string) =>
  invalid(`output '${output}' has no row for each instance: use the column form`);
export const noScores = (model: string) =>
  invalid(
    `model '${model}' has no scores to classify by: they are an FP32 or FP64 output of shape [examples, classes]`,
  );
export const noNumbers = (model: string) =>
  invalid(`model '${model}' does not regress: that is an FP32 or FP64 output of shape [examples] or [examples, 1]`);
