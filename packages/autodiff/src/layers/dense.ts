import { constantly, scaled } from '../initial-weights.js';
import type { InitialWeights } from '../initial-weights.js';
import type { LayerOf } from '../layer-spec.js';
import { activate, add, following, lastAxis, weight } from './building.js';
import type { Building, Place } from './building.js';

export function dense(to: Building, layer: LayerOf<'dense'>, at: Place): void {
  const { units, activation, bias = true, start } = layer;
  const width = lastAxis(to, at);
  const begin: InitialWeights = start
    ? { kind: 'normal', deviation: start.deviation }
    : scaled(width, units, activation ?? following(at));
  linear(to, at.name, units, begin, bias);
  activate(to, activation, `${at.name}.${activation}`);
}

/** xW + b on the last axis. */
export function linear(to: Building, name: string, units: number, start: InitialWeights, bias: boolean): void {
  const width = to.shape.at(-1)!;
  const kernel = weight(to, `${name}.weight`, [width, units], start);
  const offset = bias ? [weight(to, `${name}.bias`, [units], constantly(0))] : [];
  const shape = [...to.shape.slice(0, -1), units];
  if (to.shape.length === 1) return add(to, 'Gemm', [kernel, ...offset], name, shape);
  add(to, 'MatMul', [kernel], bias ? `${name}.product` : name, shape);
  if (bias) add(to, 'Add', offset, name, shape);
}
