/** What travels on the wire, generated from protos/: one namespace per proto file, and tensors without their copies. */
export * as inference from './gen/inference/grpc_service.js';
export * as modelConfig from './gen/inference/model_config.js';
export * as registry from './gen/modelmill/v1/registry.js';
export * as serving from './gen/modelmill/v1/serving.js';
export * as datasets from './gen/modelmill/v1/datasets.js';
export * as jobs from './gen/modelmill/v1/jobs.js';
export * as layers from './gen/modelmill/v1/layers.js';
export * as recipes from './gen/modelmill/v1/recipes.js';
export * as trainer from './gen/modelmill/v1/trainer.js';
export * as optimizer from './gen/modelmill/v1/optimizer.js';
export * as events from './gen/modelmill/v1/events.js';
export {
  decodeInferRequest,
  decodeInferResponse,
  encodeInferRequest,
  inferRequestPieces,
  writtenBefore,
} from './infer-messages.js';
export { descriptorSet } from './descriptor-set.js';
