import { cloneModel, densify, floatTensor, floatsOf, sparsify } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { changeConstants, floatConstantOf } from '../constant-of.js';
import { nameLayers } from '../layer-names.js';
import { foldBatchNorm } from '../quantize/fold-batch-norm.js';
import { int8Target } from '../quantize/int8-cpu.js';
import { quantizeDynamic } from '../quantize/quantize-dynamic.js';
import { quantizableLayers, quantizeStatic } from '../quantize/quantize-static.js';
import { quantizeWeights } from '../quantize/quantize-weights.js';
import type { ValueRange } from '../quantize/value-range.js';
import { prunableWeights, pruneMagnitude } from '../prune/prune-magnitude.js';

/** Forms that an analysis gives to layers, in the order it measures them: what tells most comes first. */
export const layerForms = ['int8', 'int4', 'zeros_90', 'zeros_50'] as const;
/** Forms that it gives to all layers at once. */
export const modelForms = ['int8', 'int8_dynamic', 'int4', 'zeros_50', 'zeros_90'] as const;
export type Form = (typeof modelForms)[number];

/** What forms are made of. */
export interface FormSource {
  /** Dense, every layer named, and batch normalizations folded. */
  readonly model: Model;
  /** Convolutions and products with constant weights, in graph order. */
  readonly layers: readonly Node[];
}

export function formSource(parent: Model): FormSource {
  const model = densify(parent);
  nameLayers(model);
  foldBatchNorm(model);
  return { model, layers: quantizableLayers(model).map(({ node }) => node) };
}

/** A copy in which one layer, or every one, has a form; undefined where there is none that could have it. */
export async function inForm(
  { model: floats }: FormSource,
  form: Form,
  ranges: ReadonlyMap<string, ValueRange>,
  only?: Node,
): Promise<Model | undefined> {
  const model = cloneModel(floats);
  const keepsFloats = ({ name }: Node) => only !== undefined && name !== only.name;
  const { reduced } = int8Target('here');
  switch (form) {
    case 'int8':
      return quantizeStatic(model, ranges, { reduced, keepsFloats }).layers > 0 ? model : undefined;
    case 'int8_dynamic':
      return quantizeDynamic(model, { reduced, keepsFloats }) > 0 ? model : undefined;
    case 'int4': {
      const blocks = { bits: 4, block: 32, symmetric: false, method: 'nearest', keepsFloats } as const;
      if ((await quantizeWeights(model, { ...blocks, onLayer: async () => {} })) > 0) return model;
      return only && changeWeights(model, only, roundedToFourBits);
    }
    case 'zeros_50':
    case 'zeros_90': {
      const share = form === 'zeros_50' ? 0.5 : 0.9;
      if (only) return changeWeights(model, only, (values) => withZeros(values, share));
      pruneMagnitude(model, [{ weights: prunableWeights(model), sparsity: share }]);
      return sparsify(model);
    }
  }
}

type Change = (values: Float32Array, dims: readonly number[], axis: number) => Float32Array;

function changeWeights(model: Model, only: Node, change: Change): Model | undefined {
  const layer = quantizableLayers(model).find(({ node }) => node.name === only.name);
  const weights = layer && floatConstantOf(model.graph, layer.node.inputs[1]);
  if (!weights) return undefined;
  changeConstants(model, () => {
    const name = `${weights.name}_${only.name}`; // others that share them keep them
    const changed = change(floatsOf(weights), weights.dims, layer.axis);
    model.graph.initializers.set(name, floatTensor(name, weights.dims, changed));
    layer.node.inputs = layer.node.inputs.map((input, i) => (i === 1 ? name : input));
  });
  return model;
}

/** Sixteen levels around 0 for each output channel of a kernel. */
const roundedToFourBits: Change = (values, dims, axis) => {
  const inner = dims.slice(axis + 1).reduce((all, size) => all * size, 1);
  const channelOf = (i: number) => Math.floor(i / inner) % dims[axis]!;
  const largest = new Float32Array(dims[axis]!);
  values.forEach((value, i) => {
    const channel = channelOf(i);
    largest[channel] = Math.max(largest[channel]!, Math.abs(value));
  });
  return values.map((value, i) => {
    const scale = largest[channelOf(i)]! / 7;
    return scale === 0 ? 0 : Math.round(value / scale) * scale;
  });
};

function withZeros(values: Float32Array, share: number): Float32Array {
  const threshold = values.map(Math.abs).sort()[Math.round(share * values.length) - 1] ?? -1;
  return values.map((value) => (Math.abs(value) <= threshold ? 0 : value));
}
