/** The TypeScript SDK of a mesh. */
export { connectMill } from './connect-mill.js';
export type { Mill } from './connect-mill.js';
export { MillError } from './mill-error.js';
export type { CallOptions, ChannelOptions } from './channel.js';
export type { Content } from './upload.js';
export type { LabelSetting, RegistryClient, VersionUpload } from './registry-client.js';
export type { ServingClient } from './serving-client.js';
export type { DatasetUpload, DatasetsClient } from './datasets-client.js';
export { hasEnded } from './job.js';
export type { SubmitOptions } from './job.js';
export type { TrainerClient } from './trainer-client.js';
export type { AnalyzeOptions, OptimizerClient } from './optimizer-client.js';
export type { EventsClient, Subscription } from './events-client.js';
export type { InferRequest, InferResponse, InferenceClient, StreamedAnswer } from './inference-client.js';
export type { Datatype, InputTensor, OutputTensor, TypedArray } from './tensors.js';

// Specs and messages as JSON.
export { fromJson, parseOptimizationSpec, parseTrainingSpec, toJson } from './json.js';
export type { JsonValue } from './json.js';
export { SpecError } from './spec-error.js';
export type { MessageName, MessageOf } from './messages.js';
export {
  datasets,
  events,
  inference,
  jobs,
  modelConfig,
  optimizer,
  registry,
  serving,
  trainer,
} from '@modelmill/contracts';

// For the gateway, which forwards bytes.
export { createChannel } from './channel.js';
export type { Channel } from './channel.js';
export { ConnectionLostError, NotBegunError, createUnaryConnection } from './unary-connection.js';
export { headerFields } from './header-fields.js';
export type { UnaryConnection } from './unary-connection.js';
export type { Method } from './method.js';
export { decodeTensor, encodeTensor } from './tensors.js';
export { backoffMs, isRetryable } from './retry.js';
