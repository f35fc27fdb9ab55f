import type { LayerSpec } from '@modelmill/autodiff';
import type { layers as contract } from '@modelmill/contracts';
import { badLayer, badWord, outOfRange } from './errors.js';

export const activations = ['relu', 'leaky_relu', 'elu', 'sigmoid', 'tanh', 'gelu', 'silu', 'softplus'] as const;
type Activation = (typeof activations)[number];

const paddings = ['same', 'valid'] as const;

/** The layers of a spec as autodiff takes them, defaults filled in. Throws an RpcError naming the layer. */
export function layerSpecs(layers: readonly contract.Layer[]): LayerSpec[] {
  return layers.map((layer, i) => layerSpec(layer, `layers[${i}]`));
}

function layerSpec({ kind }: contract.Layer, at: string): LayerSpec {
  if (kind === undefined) throw badLayer(`${at} names no kind of layer`);
  switch (kind.$case) {
    case 'dense': {
      const { units, activation } = kind.dense;
      return { kind: 'dense', units: positive(units, `${at}.dense.units`), ...optional(activation, `${at}.dense`) };
    }
    case 'conv2d': {
      const { filters, kernel, stride, padding, activation, groups } = kind.conv2d;
      return {
        kind: 'conv2d',
        filters: positive(filters, `${at}.conv2d.filters`),
        kernel: pair(kernel, `${at}.conv2d.kernel`),
        stride: stride.length === 0 ? [1, 1] : pair(stride, `${at}.conv2d.stride`),
        padding: word(padding === '' ? 'same' : padding, paddings, `${at}.conv2d.padding`),
        groups: groups === 0 ? 1 : groups,
        ...optional(activation, `${at}.conv2d`),
      };
    }
    case 'maxPool2d':
      return { kind: 'max_pool2d', ...pool(kind.maxPool2d, `${at}.max_pool2d`) };
    case 'averagePool2d':
      return { kind: 'average_pool2d', ...pool(kind.averagePool2d, `${at}.average_pool2d`) };
    case 'globalAveragePool':
      return { kind: 'global_average_pool' };
    case 'batchNorm': {
      const { momentum, epsilon } = kind.batchNorm;
      return {
        kind: 'batch_norm',
        momentum: within(momentum || 0.9, 0, 1, `${at}.batch_norm.momentum`),
        epsilon: within(epsilon || 1e-5, 0, 1, `${at}.batch_norm.epsilon`),
      };
    }
    case 'layerNorm':
      return {
        kind: 'layer_norm',
        epsilon: within(kind.layerNorm.epsilon || 1e-5, 0, 1, `${at}.layer_norm.epsilon`),
      };
    case 'activation':
      return {
        kind: 'activation',
        function: word(kind.activation.function, activations, `${at}.activation.function`),
      };
    case 'dropout':
      return { kind: 'dropout', rate: within(kind.dropout.rate, 0, 1, `${at}.dropout.rate`) };
    case 'flatten':
      return { kind: 'flatten' };
    case 'reshape':
      return {
        kind: 'reshape',
        shape: kind.reshape.shape.map((size, i) => positive(Number(size), `${at}.reshape.shape[${i}]`)),
      };
    default:
      throw badLayer(`${at} is a ${kind.$case} layer, which is not built yet`);
  }
}

function pool({ kernel, stride }: contract.Pool2dLayer, at: string) {
  const window = pair(kernel, `${at}.kernel`);
  return { kernel: window, stride: stride.length === 0 ? window : pair(stride, `${at}.stride`) };
}

function optional(activation: string, at: string): { activation?: Activation } {
  return activation === '' ? {} : { activation: word(activation, activations, `${at}.activation`) };
}

function pair(sizes: readonly number[], field: string): [number, number] {
  const [height, width = height] = sizes;
  if (height === undefined || width === undefined || sizes.length > 2) {
    throw outOfRange(field, `[${sizes.join(', ')}]`, 'one size, or height and width');
  }
  return [positive(height, field), positive(width, field)];
}

function positive(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 1 || value > 65_536) throw outOfRange(field, value, '1 to 65,536');
  return value;
}

/** lo ≤ value < hi. */
function within(value: number, lo: number, hi: number, field: string): number {
  if (!(value >= lo && value < hi)) throw outOfRange(field, value, `at least ${lo} and less than ${hi}`);
  return value;
}

export function word<const Words extends readonly string[]>(got: string, allowed: Words, field: string): Words[number] {
  const found = allowed.find((candidate) => candidate === got);
  if (found === undefined) throw badWord(field, got, allowed);
  return found;
}
