import type { registry } from '@modelmill/contracts';
import type { TensorSignature } from '@modelmill/runtime';
import { byName, hasBatchDimension } from './served-version.js';
import type { ServedVersion } from './served-version.js';

/** What clients are told of a version, in memory or not. */
export type VersionDescription = Pick<
  ServedVersion,
  'loaded' | 'batched' | 'maxBatch' | 'preferredBatch' | 'inputs' | 'outputs' | 'computeCost'
>;

export const descriptionOf = (version: VersionDescription): VersionDescription => {
  const { loaded, batched, maxBatch, preferredBatch, inputs, outputs, computeCost } = version;
  return { loaded, batched, maxBatch, preferredBatch, inputs, outputs, computeCost };
};

/** By its signature, where it was never loaded here. Whether its rows are independent is not known, and taken for granted. */
export function describedBy({ signature }: registry.Version, maxBatch: number, provider: string): VersionDescription {
  const tensors = (of: readonly registry.TensorSignature[] = []): TensorSignature[] =>
    of.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(Number) }));
  const loaded = { inputs: tensors(signature?.inputs), outputs: tensors(signature?.outputs), provider, loadMs: 0 };
  const batched = hasBatchDimension(loaded);
  const rows = batched ? maxBatch : 0;
  const [inputs, outputs] = [byName(loaded.inputs), byName(loaded.outputs)];
  return { loaded, batched, maxBatch: rows, preferredBatch: rows, inputs, outputs, computeCost: [] };
}

/**
 * What a version takes in memory: in each runner twice its bytes and 1 MiB. ONNX Runtime holds the weights once, and what
 * allocation leaves behind about as much again (1.7 to 3.4 times the file, in a runner that holds six). A measurement of one
 * load says less: the same model made its runner grow by nothing and by four times its bytes, as there were holes to fill.
 */
export const memoryBytesOf = ({ sizeBytes }: registry.Version, runners: number): number =>
  runners * (2 * Number(sizeBytes) + 2 ** 20);
