import { status } from '@grpc/grpc-js';
import { RpcError } from '@modelmill/service-kit';

const invalid = (message: string) => new RpcError(status.INVALID_ARGUMENT, message);
const failedPrecondition = (message: string) => new RpcError(status.FAILED_PRECONDITION, message);
const sizes = (shape: readonly number[]) => `[${shape.join(', ')}]`;

export const specMissing = () => invalid('spec is missing');
export const badName = (field: string, got: string) =>
  invalid(`${field} is '${got}', wants a name of [a-zA-Z0-9][a-zA-Z0-9_-]{0,62}`);
export const jobIdTooLong = (got: string, most: number) =>
  invalid(`job_id is '${got}', wants at most ${most} characters: its trainings are named after it`);
export const noPasses = () => invalid('passes is empty, wants at least one, or a preset, or a goal');
export const presetAndOthers = (other: string) =>
  invalid(`preset and ${other} are both set, wants one of them: a preset is a list of passes`);
export const passesAndGoal = () =>
  invalid('passes and goal are both set, wants one of them: a goal finds its own passes');
export const tooManyPasses = (got: number, most: number) => invalid(`passes has ${got} entries, wants at most ${most}`);
export const passWithoutKind = (at: string) => invalid(`${at} names no kind of pass`);
export const badWord = (field: string, got: string, allowed: readonly string[]) =>
  invalid(`${field} is '${got}', wants one of ${allowed.join(', ')}`);
export const outOfRange = (field: string, got: number, wanted: string) =>
  invalid(`${field} is ${got}, wants ${wanted}`);
export const oneAim = (at: string, ratio: number, multiplyAdds: number) =>
  invalid(`${at} has ratio ${ratio} and multiply_adds ${multiplyAdds}, wants exactly one of them`);
export const badPattern = (field: string, got: string) =>
  invalid(`${field} is '${got}', wants two numbers such as 2:4, the first less than the second and more than 0`);
export const besidePattern = (field: string) =>
  invalid(`${field} is set, but the pattern says which weights become zero: leave one of the two out`);
export const emptyGlob = (field: string) => invalid(`${field} is '', wants a glob over names of weights or nodes`);
const orNone = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(' and '));
export const oneStudent = (at: string, got: readonly string[]) =>
  invalid(`${at} wants one of student, student_preset and thinned, got ${orNone(got)}`);
export const oneThinning = (at: string, got: readonly string[]) =>
  invalid(`${at} wants one of ratio, multiply_adds and every, got ${orNone(got)}`);
export const noTeacherVersion = (at: string) =>
  invalid(`${at}.teacher.version is empty, wants a version number or a label's name`);
export const afterLast = (at: string, last: string) =>
  invalid(`${at} comes after ${last}, whose weights cannot be changed any more: put it before`);
export const wideHqq = (at: string, bits: number) =>
  invalid(`${at}.bits is ${bits}, but method 'hqq' wants 4: ONNX Runtime takes its zero points in no other`);
export const wideEmbeddings = (at: string, bits: number) =>
  invalid(`${at}.embeddings is set, but bits is ${bits}: ONNX Runtime looks rows up in 4 bits`);
export const symmetricHqq = (at: string) =>
  invalid(`${at}.symmetric is set, but method 'hqq' searches zero points, which symmetric blocks do not have`);
export const distilledLater = (at: string) =>
  invalid(`${at} begins a new network, so what the passes before it made would be lost: put distillation first`);
export const trainingRefused = (at: string, code: status, message: string) => new RpcError(code, `${at}: ${message}`);
export const alreadyQuantized = (model: string, version: string) =>
  invalid(`version '${version}' of model '${model}' is already quantized: start from its parent`);
export const wrongInput = (model: string, got: string, wanted: string, dataset: string) =>
  invalid(`model '${model}' takes ${got}, wants ${wanted}, for dataset '${dataset}'`);
export const wrongFeatures = (model: string, takes: readonly number[], got: readonly number[]) =>
  invalid(`model '${model}' takes ${sizes(takes)} per example, the dataset has ${sizes(got)}`);
export const wrongAnswers = (model: string, gives: string, wanted: readonly number[], why: string) =>
  invalid(`model '${model}' gives ${gives}, wants FP32 ${sizes(wanted)}: ${why}`);
export const severalFit = (model: string, gives: string, outputs: readonly string[]) =>
  invalid(
    `model '${model}' gives ${gives}, wants one answer: ${outputs.map((one) => `'${one}'`).join(' and ')} both fit`,
  );
export const noTokenizer = (version: string, key: string, dataset: string) =>
  invalid(`${version} has no tokenizer (metadata '${key}'), wants one: dataset '${dataset}' is text`);
export const otherTokenizer = (got: string, own: string, version: string) =>
  invalid(`data.tokenizer.kind is '${got}', but ${version} has its own, '${own}': leave the field out`);
export const dropOfAccuracy = (metric: string) =>
  invalid(`max_accuracy_drop is set, but its target is no class: max_drop bounds its ${metric}`);
export const twoDrops = () => invalid('max_accuracy_drop and max_drop are both set, wants one of them');
export const emptySplit = (dataset: string, split: string, least: number, use: string) =>
  failedPrecondition(
    least === 1
      ? `the ${split} split of dataset '${dataset}' has no rows: ${use} needs some`
      : `the ${split} split of dataset '${dataset}' has fewer than ${least} characters, a window with its successor: ` +
          `${use} needs some`,
  );
export const versionRejected = (model: string, version: string, reason: string) =>
  failedPrecondition(`version '${version}' of model '${model}' was rejected: ${reason}`);
export const jobNotFound = (id: string) =>
  new RpcError(status.NOT_FOUND, `optimization job '${id.slice(0, 80)}' does not exist`);
export const jobIsOtherwise = (id: string) =>
  new RpcError(status.ALREADY_EXISTS, `job '${id}' exists with another spec`);
