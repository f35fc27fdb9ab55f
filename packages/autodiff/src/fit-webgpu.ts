import type { Model } from '@modelmill/onnx';
import { narrowSplits } from './narrow-splits.js';
import { padChannels } from './pad-channels.js';

/** Outputs of a Split: with its input they are the eight buffers that every WebGPU device gives a shader. */
const mostOutputs = 7;

/** Names of nodes that ONNX Runtime 1.30 takes on WebGPU and cannot run there: pools that give positions, too. */
export const notOnWebGpu = ({ graph }: Model): string[] =>
  graph.nodes.filter(({ opType, outputs }) => opType === 'MaxPool' && outputs.length > 1).map(({ name }) => name);

/** The same numbers by operators that ONNX Runtime 1.30 computes right on WebGPU. */
export const fitWebGpu = (model: Model): Model => padChannels(narrowSplits(model, mostOutputs));
