import { fitWebGpu } from '@modelmill/autodiff';
import { writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { TrainingPlan } from './training-plan.js';

/** A step's bytes, in the form its provider can hold. */
export const fittedStep = (model: Model, provider: TrainingPlan['provider']): Uint8Array =>
  writeOnnx(provider === 'webgpu' ? fitWebGpu(model) : model);
