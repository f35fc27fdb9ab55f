import { LayerError } from '../errors.js';
import type { LayerOf } from '../layer-spec.js';
import { size } from '../value.js';
import { add, constantInts, listed } from './building.js';
import type { Building, Place } from './building.js';

export function flatten(to: Building, _: LayerOf<'flatten'>, at: Place): void {
  add(to, 'Flatten', [], at.name, [size(to.shape)]);
}

export function reshape(to: Building, { shape }: LayerOf<'reshape'>, at: Place): void {
  if (size(shape) !== size(to.shape)) {
    const got = `${size(to.shape)} numbers per example (${listed(to.shape)})`;
    throw new LayerError(`${at.shown} wants ${size(shape)} for ${listed(shape)}, got ${got}`);
  }
  // 0 copies the batch axis; a shape of more axes than it copies from is fine
  add(to, 'Reshape', [constantInts(to, `${at.name}.shape`, [0, ...shape])], at.name, shape);
}
