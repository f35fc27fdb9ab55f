import { attribute, floatTensor } from '@modelmill/onnx';
import { LayerError } from '../errors.js';
import { scaled } from '../initial-weights.js';
import type { InitialWeights } from '../initial-weights.js';
import type { Activation, LayerOf, NormalStart } from '../layer-spec.js';
import { activate, add, aside, constant, constantFloat, constantInts, text } from './building.js';
import type { Building, Place } from './building.js';
import { linear } from './dense.js';
import { dropped } from './dropout.js';
import { layerNormalized } from './normalization.js';

export function multiHeadAttention(to: Building, layer: LayerOf<'multi_head_attention'>, at: Place): void {
  selfAttention(to, layer, at, at.name);
}

/** x + attention(norm(x)), then x + network(norm(x)), as GPT-2 has it. */
export function transformerBlock(to: Building, layer: LayerOf<'transformer_block'>, at: Place): void {
  const [, width] = text(to, at);
  const { bias = true, dropout, start, activation } = layer;
  const { name } = at;
  const inner = Math.round(layer.mlpRatio * width);
  if (inner < 1) throw new LayerError(`${at.shown} has an mlp_ratio of ${layer.mlpRatio}, wants at least 1 / ${width}`);
  const before = to.value;
  layerNormalized(to, `${name}.norm1`, epsilon, bias);
  selfAttention(to, layer, at, `${name}.attention`);
  add(to, 'Add', [before], `${name}.middle`, to.shape);
  const middle = to.value;
  layerNormalized(to, `${name}.norm2`, epsilon, bias);
  linear(to, `${name}.mlp.hidden`, inner, startOf(start, width, inner, activation), bias);
  activate(to, activation, `${name}.mlp.${activation}`);
  linear(to, `${name}.mlp.projection`, width, residualStart(start, inner, width), bias);
  dropped(to, dropout, `${name}.mlp.dropout`);
  add(to, 'Add', [middle], name, to.shape);
}

const epsilon = 1e-5;

/** Vaswani et al. 2017: softmax(QKᵀ/√d + mask)·V per head, with queries, keys and values from one product. */
function selfAttention(to: Building, layer: Omit<LayerOf<'multi_head_attention'>, 'kind'>, at: Place, name: string) {
  const [time, width] = text(to, at);
  const { heads, causal, dropout, bias = true, start } = layer;
  if (width % heads !== 0) {
    throw new LayerError(`${at.shown} has ${heads} heads, wants a divisor of its width of ${width}`);
  }
  const depth = width / heads;
  const shape = to.shape;
  linear(to, `${name}.qkv`, 3 * width, startOf(start, width, width), bias);
  const parts = [`${name}.q`, `${name}.k`, `${name}.v`];
  const lengths = constantInts(to, `${name}.widths`, [width, width, width]);
  to.graph.nodes.push({
    name: `${name}.parts`,
    opType: 'Split',
    domain: '',
    inputs: [to.value, lengths],
    outputs: parts,
    attributes: new Map([['axis', attribute(2)]]),
  });
  const byHead = constantInts(to, `${name}.by_head`, [0, 0, heads, depth]);
  const headsOf = (part: string, perm: number[]) => {
    const parted = aside(to, 'Reshape', [part, byHead], `${part}.parted`);
    return aside(to, 'Transpose', [parted], `${part}.heads`, { perm: attribute(perm) });
  };
  const scale = constantFloat(to, `constant.${1 / Math.sqrt(depth)}`, 1 / Math.sqrt(depth));
  // queries are smaller than scores, so they are what is scaled
  const queries = headsOf(aside(to, 'Mul', [parts[0]!, scale], `${name}.q.scaled`), [0, 2, 1, 3]);
  const keys = headsOf(parts[1]!, [0, 2, 3, 1]);
  const values = headsOf(parts[2]!, [0, 2, 1, 3]);
  to.value = aside(to, 'MatMul', [queries, keys], `${name}.scores`);
  to.shape = [heads, time, time];
  if (causal) add(to, 'Add', [causalMask(to, time)], `${name}.masked`, to.shape);
  add(to, 'Softmax', [], `${name}.shares`, to.shape, { axis: attribute(-1) });
  dropped(to, dropout, `${name}.shares.dropout`);
  add(to, 'MatMul', [values], `${name}.heads`, [heads, time, depth]);
  add(to, 'Transpose', [], `${name}.side_by_side`, [time, heads, depth], { perm: attribute([0, 2, 1, 3]) });
  add(to, 'Reshape', [constantInts(to, `${name}.joined`, [0, 0, width])], `${name}.values`, shape);
  linear(to, name === at.name ? name : `${name}.projection`, width, residualStart(start, width, width), bias);
  dropped(to, dropout, `${name}.dropout`);
}

/** 0 where a place may look, −10,000 beyond it: float16 holds it, and its exponential is 0. Cut to the input's length. */
function causalMask(to: Building, time: number): string {
  const name = `causal_mask.${time}`;
  const cut = `${name}.cut`;
  if (to.graph.nodes.some(({ outputs }) => outputs[0] === cut)) return cut;
  const values = Float32Array.from({ length: time * time }, (_, i) => (i % time > Math.floor(i / time) ? -10_000 : 0));
  const whole = constant(to, name, floatTensor('', [time, time], values));
  const length = aside(to, 'Shape', [to.value], `${name}.length`, { start: attribute(2) });
  return aside(to, 'Slice', [whole, constantInts(to, 'first_places', [0, 0]), length], cut);
}

function startOf(
  start: NormalStart | undefined,
  fanIn: number,
  fanOut: number,
  activation?: Activation,
): InitialWeights {
  return start ? { kind: 'normal', deviation: start.deviation } : scaled(fanIn, fanOut, activation);
}

const residualStart = (start: NormalStart | undefined, fanIn: number, fanOut: number): InitialWeights =>
  startOf(start && { deviation: start.residualDeviation ?? start.deviation }, fanIn, fanOut);
