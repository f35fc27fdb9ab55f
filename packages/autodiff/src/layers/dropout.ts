import { add, constantFloat } from './building.js';
import type { Building } from './building.js';

/** Dropout in training form; none for a rate of 0. */
export function dropped(to: Building, rate: number, name: string): void {
  if (rate === 0) return;
  const training = `${name}.training`;
  to.graph.initializers.set(training, { name: training, dataType: 'bool', dims: [], bytes: Uint8Array.of(1) });
  add(to, 'Dropout', [constantFloat(to, `${name}.rate`, rate), training], name, to.shape);
}
