import { createHash } from 'node:crypto';
import { cpus } from 'node:os';
import type { Model } from '@modelmill/onnx';
import { engineVersion } from '@modelmill/runtime';
import type { PlannedPass } from './pass-kind.js';
import type { PinnedPlan } from './pinned-plan.js';
import { int8Target } from './quantize/int8-cpu.js';

/** What a version was made of, by the digests of what is kept. */
export interface Lineage {
  readonly parent_sha256: string;
  readonly dataset_sha256: string;
  /** Of the passes with their defaults filled in and the seed: two specs that mean the same have the same. */
  readonly recipe_sha256: string;
}

/** What made and measured it. */
export interface Workplace {
  /** Such as `onnxruntime 1.30.0`. */
  readonly version: string;
  readonly cpu: string;
  /** What the CPU can do for products of eight bits. */
  readonly int8: string;
}

export const workplace = (): Workplace => ({
  version: `onnxruntime ${engineVersion}`,
  cpu: cpus()[0]?.model.trim() ?? 'an unknown CPU',
  int8: int8Target('here').words,
});

export function lineageOf({ plan, parent, dataset }: PinnedPlan, passes: readonly PlannedPass[]): Lineage {
  const recipe = {
    passes: passes.map(({ kind, settings }) => ({ kind, settings })),
    normalize: plan.data.normalize,
    seed: plan.seed,
  };
  return {
    parent_sha256: parent.artifactSha256,
    dataset_sha256: dataset.artifactSha256,
    recipe_sha256: createHash('sha256').update(canonicalJson(recipe)).digest('hex'),
  };
}

/** The model with its lineage in the file itself, as entries of its metadata. */
export function withLineage(model: Model, lineage: Lineage, { version, cpu, int8 }: Workplace): Model {
  const entries = {
    parent: lineage.parent_sha256,
    dataset: lineage.dataset_sha256,
    recipe: lineage.recipe_sha256,
    engine: version,
    cpu: `${cpu} (${int8})`,
  };
  const named = Object.entries(entries).map(([key, value]) => [`modelmill.${key}`, value] as const);
  return { ...model, metadata: new Map([...model.metadata, ...named]) };
}

/** JSON that is the same however the keys were written; integers of 64 bits are decimal text. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'bigint') return `"${value}"`;
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object' && !(value instanceof Uint8Array)) {
    const entries = Object.entries(value).filter(([, one]) => one !== undefined);
    const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${sorted.map(([key, one]) => `${JSON.stringify(key)}:${canonicalJson(one)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
