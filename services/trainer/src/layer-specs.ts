import { activations } from '@modelmill/autodiff';
import type { LayerSpec } from '@modelmill/autodiff';
import type { layers as contract } from '@modelmill/contracts';
import { badLayer, outOfRange } from './errors.js';
import { biased, epsilonOf, optional, pair, positive, positiveOr, share, within, word } from './spec-fields.js';

type Kind = NonNullable<contract.Layer['kind']>;
type Case = Kind['$case'];
type MessageOf<C extends Case> = Extract<Kind, { $case: C }> extends infer K ? K[C & keyof K] : never;

/** The layers of a spec as autodiff takes them, defaults filled in. Throws an RpcError naming the layer. */
export function layerSpecs(layers: readonly contract.Layer[], path = 'layers'): LayerSpec[] {
  return layers.map(({ kind }, i) => {
    if (kind === undefined) throw badLayer(`${path}[${i}] names no kind of layer`);
    return read(kind, `${path}[${i}]`);
  });
}

/** `at` is the path of the message, for errors. */
type Reader<C extends Case> = (message: MessageOf<C>, at: string) => LayerSpec;

const paddings = ['same', 'valid'] as const;
const paddings1d = ['same', 'valid', 'causal'] as const;
const lessPadding = ['valid', 'same'] as const;

/** One row per kind of layer: its fields, checked, with their defaults. */
const readers: { readonly [C in Case]: Reader<C> } = {
  dense: ({ units, activation, withoutBias }, at) => ({
    kind: 'dense',
    units: positive(units, `${at}.units`),
    ...optional(activation, at),
    ...biased(withoutBias),
  }),
  conv2d: ({ filters, kernel, stride, padding, activation, groups, withoutBias }, at) => ({
    kind: 'conv2d',
    filters: positive(filters, `${at}.filters`),
    kernel: pair(kernel, `${at}.kernel`),
    stride: stride.length === 0 ? [1, 1] : pair(stride, `${at}.stride`),
    padding: word(padding || 'same', paddings, `${at}.padding`),
    groups: positiveOr(1, groups, `${at}.groups`),
    ...optional(activation, at),
    ...biased(withoutBias),
  }),
  conv1d: ({ filters, kernel, stride, padding, activation, groups, dilation, withoutBias }, at) => ({
    kind: 'conv1d',
    filters: positive(filters, `${at}.filters`),
    kernel: positive(kernel, `${at}.kernel`),
    stride: positiveOr(1, stride, `${at}.stride`),
    padding: word(padding || 'same', paddings1d, `${at}.padding`),
    groups: positiveOr(1, groups, `${at}.groups`),
    dilation: positiveOr(1, dilation, `${at}.dilation`),
    ...optional(activation, at),
    ...biased(withoutBias),
  }),
  maxPool2d: (message, at) => ({ kind: 'max_pool2d', ...pool2d(message, at) }),
  averagePool2d: (message, at) => ({ kind: 'average_pool2d', ...pool2d(message, at) }),
  maxPool1d: (message, at) => ({ kind: 'max_pool1d', ...pool1d(message, at) }),
  averagePool1d: (message, at) => ({ kind: 'average_pool1d', ...pool1d(message, at) }),
  globalAveragePool: () => ({ kind: 'global_average_pool' }),
  globalMaxPool: () => ({ kind: 'global_max_pool' }),
  poolTime: ({ how }, at) => ({ kind: 'pool_time', how: word(how || 'mean', ['mean', 'max', 'last'], `${at}.how`) }),

  batchNorm: ({ momentum, epsilon }, at) => ({
    kind: 'batch_norm',
    momentum: within(momentum || 0.9, 0, 1, `${at}.momentum`),
    epsilon: epsilonOf(epsilon, `${at}.epsilon`),
  }),
  layerNorm: ({ epsilon, withoutBias }, at) => ({
    kind: 'layer_norm',
    epsilon: epsilonOf(epsilon, `${at}.epsilon`),
    ...biased(withoutBias),
  }),
  groupNorm: ({ groups, epsilon }, at) => ({
    kind: 'group_norm',
    groups: positive(groups, `${at}.groups`),
    epsilon: epsilonOf(epsilon, `${at}.epsilon`),
  }),
  instanceNorm: ({ epsilon }, at) => ({ kind: 'instance_norm', epsilon: epsilonOf(epsilon, `${at}.epsilon`) }),
  rmsNorm: ({ epsilon }, at) => ({ kind: 'rms_norm', epsilon: epsilonOf(epsilon, `${at}.epsilon`) }),

  embedding: ({ vocabulary, width, name }, at) => ({
    kind: 'embedding',
    vocabulary: vocabulary === 0 ? 0 : rows(vocabulary, `${at}.vocabulary`),
    width: positive(width, `${at}.width`),
    ...(name === '' ? {} : { name }),
  }),
  positionEmbedding: () => ({ kind: 'position_embedding' }),
  lstm: (message, at) => ({ kind: 'lstm', ...recurrent(message, at) }),
  gru: (message, at) => ({ kind: 'gru', ...recurrent(message, at) }),
  multiHeadAttention: ({ heads, causal, dropout, withoutBias }, at) => ({
    kind: 'multi_head_attention',
    heads: positive(heads, `${at}.heads`),
    causal,
    dropout: share(dropout, `${at}.dropout`),
    ...biased(withoutBias),
  }),
  transformerBlock: ({ heads, mlpRatio, causal, dropout, withoutBias, activation }, at) => ({
    kind: 'transformer_block',
    heads: positive(heads, `${at}.heads`),
    mlpRatio: within(mlpRatio || 4, 0, 1024, `${at}.mlp_ratio`),
    causal,
    dropout: share(dropout, `${at}.dropout`),
    activation: word(activation || 'gelu', activations, `${at}.activation`),
    ...biased(withoutBias),
  }),
  tiedHead: ({ embedding }) => ({ kind: 'tied_head', ...(embedding === '' ? {} : { embedding }) }),

  activation: (message, at) => ({
    kind: 'activation',
    function: word(message.function, activations, `${at}.function`),
  }),
  dropout: ({ rate }, at) => ({ kind: 'dropout', rate: share(rate, `${at}.rate`) }),
  flatten: () => ({ kind: 'flatten' }),
  reshape: ({ shape }, at) => ({
    kind: 'reshape',
    shape: shape.map((size, i) => positive(Number(size), `${at}.shape[${i}]`)),
  }),

  residual: ({ layers, project, activation }, at) => {
    if (layers.length === 0) throw badLayer(`${at}.layers is empty, wants at least one`);
    return { kind: 'residual', layers: layerSpecs(layers, `${at}.layers`), project, ...optional(activation, at) };
  },
  parallel: ({ branches, merge }, at) => ({
    kind: 'parallel',
    branches: branches.map(({ layers }, i) => layerSpecs(layers, `${at}.branches[${i}].layers`)),
    merge: word(merge || 'concat', ['add', 'concat'], `${at}.merge`),
  }),
};

function read<C extends Case>(kind: Extract<Kind, { $case: C }>, at: string): LayerSpec {
  const name: C = kind.$case;
  const message = (kind as unknown as Record<C, MessageOf<C>>)[name];
  return readers[name](message, `${at}.${fieldOf(name)}`);
}

/** The contract's own name: `maxPool2d` is `max_pool2d` there. */
const fieldOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function rows(value: number, field: string): number {
  if (value > 1_000_000) throw outOfRange(field, value, '1 to 1,000,000, or 0 for the tokens of the dataset');
  return value;
}

function pool2d({ kernel, stride, padding }: contract.Pool2dLayer, at: string) {
  const window = pair(kernel, `${at}.kernel`);
  return {
    kernel: window,
    stride: stride.length === 0 ? window : pair(stride, `${at}.stride`),
    padding: word(padding || 'valid', lessPadding, `${at}.padding`),
  };
}

function pool1d({ kernel, stride }: contract.Pool1dLayer, at: string) {
  const window = positive(kernel, `${at}.kernel`);
  return { kernel: window, stride: positiveOr(window, stride, `${at}.stride`) };
}

const recurrent = ({ units, bidirectional, returnSequences }: contract.LstmLayer, at: string) => ({
  units: positive(units, `${at}.units`),
  bidirectional,
  sequences: returnSequences,
});
