import { decodeInferRequest, inference } from '@modelmill/contracts';
import { encodeInferResponse } from './encode-infer-response.js';

const { modelInfer, modelStreamInfer } = inference.GRPCInferenceServiceService;

/** The service with a decoder and an encoder that copy fewer bytes than the generated ones. */
export const inferenceService = {
  ...inference.GRPCInferenceServiceService,
  modelInfer: { ...modelInfer, requestDeserialize: decodeInferRequest, responseSerialize: encodeInferResponse },
  modelStreamInfer: { ...modelStreamInfer, requestDeserialize: decodeInferRequest },
} as const;
