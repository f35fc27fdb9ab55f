import { attribute } from '@modelmill/onnx';
import { LayerError } from '../errors.js';
import type { InitialWeights } from '../initial-weights.js';
import type { LayerOf, NormalStart } from '../layer-spec.js';
import { add, aside, constantInts, sized, text, weight } from './building.js';
import type { Building, Place } from './building.js';

export function embedding(to: Building, layer: LayerOf<'embedding'>, at: Place): void {
  const [time = 0] = sized(to, at, ['time']);
  const { width } = layer;
  const vocabulary = layer.vocabulary || to.vocabulary;
  if (vocabulary === 0) {
    throw new LayerError(`${at.shown} names no vocabulary, and the dataset has none: say how many tokens there are`);
  }
  const table = weight(to, `${at.name}.table`, [vocabulary, width], rowStart(layer.start, width));
  to.embeddings.set(layer.name ?? at.name, { table, vocabulary, width });
  const tokens = whole(to, at);
  to.value = aside(to, 'Gather', [table, tokens], at.name);
  to.shape = [time, width];
}

/** Rows of length about 1, unless told otherwise. */
const rowStart = (start: NormalStart | undefined, width: number): InitialWeights => ({
  kind: 'normal',
  deviation: start?.deviation ?? 1 / Math.sqrt(width),
});

/** The last value as whole numbers. */
function whole(to: Building, at: Place): string {
  const fed = to.graph.inputs.find(({ name }) => name === to.value);
  if (fed && fed.dataType !== 'float') return to.value;
  return aside(to, 'Cast', [to.value], `${at.name}.tokens`, { to: attribute(7) });
}

export function positionEmbedding(to: Building, { start }: LayerOf<'position_embedding'>, at: Place): void {
  const [time, width] = text(to, at);
  const table = weight(to, `${at.name}.table`, [time, width], rowStart(start, width));
  const length = aside(to, 'Shape', [to.value], `${at.name}.length`, { start: attribute(1), end: attribute(2) });
  const from = constantInts(to, 'first_place', [0]);
  const rows = aside(to, 'Slice', [table, from, length], `${at.name}.rows`);
  add(to, 'Add', [rows], at.name, to.shape);
}

export function tiedHead(to: Building, layer: LayerOf<'tied_head'>, at: Place): void {
  const known = [...to.embeddings.keys()];
  const found = to.embeddings.get(layer.embedding ?? known[0] ?? '');
  if (!found) {
    const wanted = layer.embedding === undefined ? 'an embedding' : `the embedding '${layer.embedding}'`;
    throw new LayerError(`${at.shown} wants ${wanted} before it, got ${known.join(', ') || 'none'}`);
  }
  const width = to.shape.at(-1);
  if (width !== found.width) {
    throw new LayerError(`${at.shown} wants the width of its embedding, ${found.width}, got ${width ?? 'one number'}`);
  }
  const columns = aside(to, 'Transpose', [found.table], `${at.name}.columns`, { perm: attribute([1, 0]) });
  add(to, 'MatMul', [columns], at.name, [...to.shape.slice(0, -1), found.vocabulary]);
}
