import type { LayerKind, LayerOf, LayerSpec } from '../layer-spec.js';
import { multiHeadAttention, transformerBlock } from './attention.js';
import { activate } from './building.js';
import type { Building, Place } from './building.js';
import { conv1d, conv2d } from './convolution.js';
import { dense } from './dense.js';
import { dropped } from './dropout.js';
import { parallel, residual } from './nested.js';
import { batchNorm, groupNorm, instanceNorm, layerNorm, rmsNorm } from './normalization.js';
import { globalPool, pool1d, pool2d, poolTime } from './pooling.js';
import { recurrent } from './recurrent.js';
import { flatten, reshape } from './shape.js';
import { embedding, positionEmbedding, tiedHead } from './tokens.js';

type LayerBuilder<K extends LayerKind> = (to: Building, layer: LayerOf<K>, at: Place) => void;

/** What each kind of layer adds to a graph. */
const layerBuilders: { readonly [K in LayerKind]: LayerBuilder<K> } = {
  dense,
  layer_norm: layerNorm,
  rms_norm: rmsNorm,
  conv2d,
  max_pool2d: pool2d('MaxPool'),
  average_pool2d: pool2d('AveragePool'),
  conv1d,
  max_pool1d: pool1d('MaxPool'),
  average_pool1d: pool1d('AveragePool'),
  global_average_pool: globalPool('GlobalAveragePool'),
  global_max_pool: globalPool('GlobalMaxPool'),
  batch_norm: batchNorm,
  group_norm: groupNorm,
  instance_norm: instanceNorm,
  embedding,
  position_embedding: positionEmbedding,
  lstm: recurrent('LSTM', 4),
  gru: recurrent('GRU', 3),
  multi_head_attention: multiHeadAttention,
  transformer_block: transformerBlock,
  pool_time: poolTime,
  tied_head: tiedHead,
  activation: (to, layer, at) => activate(to, layer.function, at.name),
  dropout: (to, { rate }, at) => dropped(to, rate, at.name),
  flatten,
  reshape,
  residual,
  parallel,
};

/** Adds a layer to the graph. Throws LayerError where it does not fit what comes before it. */
export function addLayer<K extends LayerKind>(to: Building, layer: LayerOf<K>, at: Place): void {
  layerBuilders[layer.kind](to, layer, at);
}

/** Layers that take any length along the time axis, so the served graph may, too. */
const lengthless: ReadonlySet<LayerKind> = new Set<LayerKind>([
  ...(['dense', 'layer_norm', 'rms_norm', 'activation', 'dropout', 'embedding', 'position_embedding'] as const),
  ...(['lstm', 'gru', 'multi_head_attention', 'transformer_block', 'pool_time', 'tied_head'] as const),
]);

/** Whether layers on [time] take less than all of it: true up to what makes time disappear. */
export function takesAnyLength(layers: readonly LayerSpec[]): boolean {
  for (const layer of layers) {
    const inner = innerLayers(layer);
    if (inner ? !inner.every(takesAnyLength) : !lengthless.has(layer.kind)) return false;
    const gone = layer.kind === 'pool_time' || ((layer.kind === 'lstm' || layer.kind === 'gru') && !layer.sequences);
    if (gone) return true;
  }
  return true;
}

function innerLayers(layer: LayerSpec): readonly (readonly LayerSpec[])[] | undefined {
  if (layer.kind === 'residual') return [layer.layers];
  return layer.kind === 'parallel' ? layer.branches : undefined;
}
