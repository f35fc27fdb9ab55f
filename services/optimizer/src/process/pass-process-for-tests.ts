import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseOptimizationSpec } from '@modelmill/client';
import { datasets, jobs, optimizer, registry, trainer } from '@modelmill/contracts';
import { floatTensor, makeNode, onnxPieces } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openFileArtifacts } from '@modelmill/store';
import type { Artifacts } from '@modelmill/store';
import { registrySignature } from '../binding.js';
import { digitsFile } from '../digits-for-tests.js';
import { defaultSplits } from '../examples.js';
import { modelOf } from '../models-for-tests.js';
import type { Answers } from './calls.js';
import type { PassNeeds, PassOrder } from './pass-calls.js';

/** Reproducible numbers, about as large as keep a deep network's values in bounds. */
function weights(seed: number, rows: number, columns: number): Float32Array {
  const scale = Math.sqrt(6 / rows);
  let state = seed;
  return Float32Array.from({ length: rows * columns }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return scale * (state / 2 ** 31);
  });
}

/** A classifier of digits from matrices of the given widths between 64 pixels and 10 classes. */
export function deepModel(widths: readonly number[]): Model {
  const sizes = [64, ...widths, 10];
  const layers = sizes.slice(1).map((columns, i) => ({ rows: sizes[i]!, columns, i }));
  return modelOf(
    [64],
    [
      ...layers.flatMap(({ i }) => [
        makeNode('MatMul', [i === 0 ? 'input' : `x${i - 1}`, `w${i}`], [`product${i}`], {}, `layer${i}`),
        makeNode(i === layers.length - 1 ? 'Softmax' : 'Relu', [`product${i}`], [`x${i}`]),
      ]),
    ],
    layers.map(({ rows, columns, i }) => floatTensor(`w${i}`, [rows, columns], weights(i + 1, rows, columns))),
    [10],
  );
}

/** Artifacts in a folder of their own, with the digits among them. */
export interface Workshop extends Disposable {
  readonly artifacts: Artifacts;
  readonly artifactsDir: string;
  /** Passes over a model. */
  order(model: Model, passes: readonly object[]): Promise<PassOrder>;
}

export async function openWorkshop(): Promise<Workshop> {
  const artifactsDir = mkdtempSync(join(tmpdir(), 'mill-workshop-'));
  const artifacts = await openFileArtifacts(artifactsDir);
  const { sha256, size } = await artifacts.put(createReadStream(digitsFile));
  const dataset = datasets.DatasetVersion.fromPartial({
    dataset: 'digits',
    version: '1',
    artifactSha256: sha256,
    sizeBytes: BigInt(size),
    rows: 1797n,
    format: { $case: 'csv', csv: { header: false, target: '' } },
    schema: { featureShape: [64n], target: 'c64', classes: Array.from({ length: 10 }, (_, i) => `${i}`) },
    splits: defaultSplits,
  });
  return {
    artifacts,
    artifactsDir,
    async order(model, passes) {
      const stored = await artifacts.put(onnxPieces(model));
      const parent = registry.Version.fromPartial({
        model: 'deep',
        version: '1',
        artifactSha256: stored.sha256,
        signature: registrySignature(model),
      });
      const spec = parseOptimizationSpec({ model: 'deep', version: '1', data: { dataset: 'digits' }, passes });
      return {
        artifactsDir,
        mostFileBytes: 2 ** 31 - 1,
        spec: optimizer.OptimizationSpec.encode(spec).finish(),
        parent: registry.Version.encode(parent).finish(),
        dataset: datasets.DatasetVersion.encode(dataset).finish(),
        passes: spec.passes.map((pass) => optimizer.Pass.encode(pass).finish()),
      };
    },
    [Symbol.dispose]: () => rmSync(artifactsDir, { recursive: true, force: true }),
  };
}

/** An optimizer that lets everyone measure at once, and whose trainer gives back what it is given. */
export const freeNeeds: Answers<PassNeeds> = {
  train({ spec }) {
    const { base } = trainer.TrainingSpec.decode(spec);
    const artifactSha256 = base?.source?.$case === 'artifactSha256' ? base.source.artifactSha256 : '';
    return jobs.JobSucceeded.encode(jobs.JobSucceeded.fromPartial({ artifactSha256 })).finish();
  },
  progress: () => {},
  turn: () => {},
  turnOver: () => {},
};

/** The most that a process has held so far, in bytes. */
export function peakBytes(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return 1024 * Number(kib);
}
