import { narrowSplits } from '@modelmill/autodiff';
import { writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { TrainingPlan } from './training-plan.js';

/** Outputs of a Split: with its input they are the eight buffers that every WebGPU device gives a shader. */
const mostSplitOnWebGpu = 7;

/** A step's bytes, in the form its provider can hold. */
export const narrowed = (model: Model, provider: TrainingPlan['provider']): Uint8Array =>
  writeOnnx(provider === 'webgpu' ? narrowSplits(model, mostSplitOnWebGpu) : model);
