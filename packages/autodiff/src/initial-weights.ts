import type { Activation } from './layer-spec.js';

const rectifiers: readonly (Activation | undefined)[] = ['relu', 'leaky_relu', 'elu', 'gelu', 'silu', 'softplus'];

export type InitialWeights =
  | { readonly kind: 'constant'; readonly value: number }
  /** In [−limit, limit). */
  | { readonly kind: 'uniform'; readonly limit: number }
  /** Around 0. */
  | { readonly kind: 'normal'; readonly deviation: number };

/**
 * Uniform within He's limit √(6 / fan_in) before a rectifier (He et al. 2015), else within Glorot's
 * √(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).
 */
export const scaled = (fanIn: number, fanOut: number, activation?: Activation): InitialWeights => ({
  kind: 'uniform',
  limit: Math.sqrt(6 / (rectifiers.includes(activation) ? fanIn : fanIn + fanOut)),
});

export const constantly = (value: number): InitialWeights => ({ kind: 'constant', value });

/** Initial weights; `draw` gives uniform numbers in [0, 1). */
export function initialWeights(
  start: InitialWeights,
  count: number,
  draw: (count: number) => Float32Array,
): Float32Array {
  switch (start.kind) {
    case 'constant':
      return new Float32Array(count).fill(start.value);
    case 'uniform':
      return draw(count).map((u) => (2 * u - 1) * start.limit);
    case 'normal':
      return normal(draw(2 * Math.ceil(count / 2)), start.deviation).subarray(0, count);
  }
}

/** Box and Muller 1958: two uniform numbers make two normal ones. */
function normal(uniform: Float32Array, deviation: number): Float32Array {
  for (let i = 0; i < uniform.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - uniform[i]!));
    const angle = 2 * Math.PI * uniform[i + 1]!;
    uniform[i] = radius * Math.cos(angle);
    uniform[i + 1] = radius * Math.sin(angle);
  }
  return uniform;
}
