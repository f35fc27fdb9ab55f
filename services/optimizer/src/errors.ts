import { status } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';

const invalid = (message: string) => new RpcError(status.INVALID_ARGUMENT, message);
const notFound = (message: string) => new RpcError(status.NOT_FOUND, message);

export const specMissing = () => invalid('spec is missing');
export const badName = (field: string, got: string) =>
  invalid(`${field} is '${got}', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}`);
export const noPasses = () => invalid('passes is empty, wants at least one');
export const passWithoutKind = (at: string) => invalid(`${at} names no kind of pass`);
export const badWord = (field: string, got: string, allowed: readonly string[]) =>
  invalid(`${field} is '${got}', wants one of ${allowed.join(', ')}`);
export const outOfRange = (field: string, got: number, wanted: string) =>
  invalid(`${field} is ${got}, wants ${wanted}`);
export const noStudent = (at: string) => invalid(`${at}.student is empty, wants the student's layers`);
export const quantizedThenTrained = (at: string) =>
  invalid(`${at} trains what an earlier pass has quantized: put quantization last`);
export const alreadyQuantized = (model: string, version: string) =>
  invalid(`version '${version}' of model '${model}' is already quantized: start from its parent`);
export const wrongFeatures = (model: string, got: number, wanted: readonly number[]) =>
  invalid(`model '${model}' takes [${wanted.join(', ')}], the dataset has ${got} numbers per example`);
export const notAClassifier = (dataset: string) =>
  invalid(`the target of dataset '${dataset}' is a number, wants a class: evaluation measures accuracy`);
export const versionNotFound = (model: string, version: string) =>
  notFound(`model '${model}' has no version or label '${version}'`);
export const versionRejected = (model: string, version: string, reason: string) =>
  new RpcError(status.FAILED_PRECONDITION, `version '${version}' of model '${model}' was rejected: ${reason}`);
export const datasetNotFound = (name: string, version: string) =>
  notFound(version === '' ? `dataset '${name}' does not exist` : `dataset '${name}' has no version '${version}'`);
export const jobNotFound = (id: string) => notFound(`optimization job '${id}' does not exist`);
