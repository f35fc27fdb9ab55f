import { status } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';

const invalid = (message: string) => new RpcError(status.INVALID_ARGUMENT, message);
const notFound = (message: string) => new RpcError(status.NOT_FOUND, message);

export const specMissing = () => invalid('spec is missing');
export const badName = (field: string, got: string) =>
  invalid(`${field} is '${got}', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}`);
export const oneStart = (got: readonly string[]) =>
  invalid(`the spec wants one of layers, preset and base, got ${got.length === 0 ? 'none' : got.join(' and ')}`);
export const excludes = (field: string, other: string, why: string) =>
  invalid(`${field} and ${other} exclude each other: ${why}`);
export const badWord = (field: string, got: string, allowed: readonly string[]) =>
  invalid(`${field} is '${got}', wants one of ${allowed.join(', ')}`);
export const providerMissing = (provider: string, why: string) =>
  new RpcError(status.FAILED_PRECONDITION, `provider is '${provider}', which this trainer cannot use: ${why}`);
export const tfjsOnCpu = (provider: string) =>
  invalid(`engine is 'tfjs', which trains on the cpu, but provider is '${provider}'`);
export const notByTfjs = (what: string) =>
  invalid(`engine is 'tfjs', which cannot train through ${what}: leave engine out, or change the layers`);
const someOf = (names: readonly string[]) =>
  names.length > 60 ? `${names.slice(0, 60).join(', ')}, …` : names.join(', ') || 'no such values';
const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
export const tooMuchMemory = (estimate: number, limit: number, batchSize: number) =>
  invalid(
    `the training would take about ${gigabytes(estimate)} of memory, the limit is ${gigabytes(limit)}: ` +
      `try a batch_size smaller than ${batchSize}, or accumulate`,
  );
export const unknownClass = (got: string, classes: readonly string[]) => {
  const some = classes.length > 10 ? `${classes.slice(0, 10).join(', ')}, …` : classes.join(', ') || 'none';
  return invalid(`losses name class '${got}', the classes are ${some}`);
};
export const unknownMetric = (got: string, target: string) =>
  invalid(`metrics name '${got}', which says nothing of ${target}`);
export const unknownMonitor = (got: string, measured: readonly string[]) =>
  invalid(`early_stopping.metric is '${got}', what is measured is ${measured.join(', ')}`);
export const badGroups = (fault: string) => invalid(`optimizer.${fault}`);
export const textShort = (dataset: string, got: number, context: number) =>
  invalid(`the training part of dataset '${dataset}' has ${got} characters, wants more than the context of ${context}`);
export const textNormalized = (got: string) => invalid(`data.normalize is '${got}', which text has no use for`);
export const onlyText = (field: string, dataset: string) =>
  invalid(`${field} is set, but dataset '${dataset}' is no text`);
export const fullBatchOfText = (dataset: string) =>
  invalid(`mode is 'full_batch', but dataset '${dataset}' is a text, whose windows are drawn without end`);
export const fullBatchTooLarge = (rows: number, most: number) =>
  invalid(`mode is 'full_batch', but the training split has ${rows} rows, at most ${most} fit a batch`);
export const outOfRange = (field: string, got: number | string, wanted: string) =>
  invalid(`${field} is ${got}, wants ${wanted}`);
export const prunedTwice = (at: string, weight: string) =>
  invalid(`${at}.weights names '${weight}', which an earlier name is already`);
export const notPrunable = (weight: string, there: readonly string[]) => {
  const some = there.length > 10 ? `${there.slice(0, 10).join(', ')}, …` : there.join(', ') || 'none';
  return invalid(`pruning names '${weight}', which is no matrix or kernel that is trained: there are ${some}`);
};
export const wantsBase = (field: string, also = '') => invalid(`${field} wants a base${also}`);
export const badLayer = (message: string) => invalid(message);
export const tooManyLayers = (got: number, most: number) => invalid(`layers has ${got} layers, wants at most ${most}`);
export const tooManyParameters = (most: number) => invalid(`the layers have more than ${most} parameters, the limit`);
export const wrongOutputs = (got: readonly number[], wanted: readonly number[], why: string) =>
  invalid(`the last layer gives [${got.join(', ')}] per example, wants [${wanted.join(', ')}]: ${why}`);
export const wrongLoss = (loss: string, why: string) => invalid(`loss is '${loss}', ${why}`);
export const wrongFeatures = (model: string, got: readonly number[], wanted: readonly number[]) =>
  invalid(`${model} takes [${wanted.join(', ')}] per example, the dataset has [${got.join(', ')}]`);
export const batchTooLarge = (batch: number, rows: number) =>
  invalid(`batch_size is ${batch}, wants at most the ${rows} rows of the training split`);
export const notTrainable = (why: string) => invalid(`the base cannot be trained: ${why}`);
export const distillationOfNumbers = (dataset: string) =>
  invalid(`distillation wants classes, the target of dataset '${dataset}' is a number`);
export const wrongTeacher = (model: string, got: number, wanted: number) =>
  invalid(`the teacher '${model}' gives ${got} scores, the target has ${wanted} classes`);
export const noSuchFeature = (field: string, got: string, side: string, known: readonly string[]) =>
  invalid(`${field} is '${got}', the ${side} has ${someOf(known)}`);
export const hiddenShapesUnknown = (side: string, why: string) =>
  invalid(`distillation.features cannot look into the ${side}: ${why}`);
export const featuresMisfit = (why: string) => invalid(`distillation.features do not fit: ${why}`);
export const datasetNotFound = (name: string, version: string) =>
  notFound(version === '' ? `dataset '${name}' does not exist` : `dataset '${name}' has no version '${version}'`);
export const versionNotFound = (model: string, version: string) =>
  notFound(`model '${model}' has no version or label '${version}'`);
export const artifactNotFound = (sha256: string) => notFound(`artifact '${sha256}' does not exist`);
export const versionRejected = (model: string, version: string, reason: string) =>
  new RpcError(status.FAILED_PRECONDITION, `version '${version}' of model '${model}' was rejected: ${reason}`);
export const badSplits = (dataset: string, why: string) =>
  new RpcError(status.FAILED_PRECONDITION, `dataset '${dataset}' cannot be dealt: ${why}`);
export const jobNotFound = (id: string) => notFound(`training job '${id}' does not exist`);
export const shuttingDown = (id: string) =>
  new RpcError(status.UNAVAILABLE, `the trainer shuts down and job '${id}' goes on: watch it again`);
export const jobIsOtherwise = (id: string) =>
  new RpcError(status.ALREADY_EXISTS, `job '${id}' exists with another spec`);
