import type { Activation } from './layer-spec.js';

const rectifiers: readonly (Activation | undefined)[] = ['relu', 'leaky_relu', 'elu', 'gelu', 'silu', 'softplus'];

/**
 * Uniform numbers in [0, 1) as initial weights in [−limit, limit): He's limit √(6 / fan_in) before a rectifier (He et al.
 * 2015), else Glorot's √(6 / (fan_in + fan_out)) (Glorot and Bengio 2010).
 */
export function initialWeights(
  { fanIn, fanOut, activation }: { fanIn: number; fanOut: number; activation: Activation | undefined },
  uniform: Float32Array,
): Float32Array {
  const limit = Math.sqrt(6 / (rectifiers.includes(activation) ? fanIn : fanIn + fanOut));
  return uniform.map((u) => (2 * u - 1) * limit);
}
