import { parseOptimizationSpec, toJson } from '@modelmill/client';
import type { optimizer } from '@modelmill/client';
import type { Command } from '../command.js';
import { connectionUsage } from '../connection.js';
import { runSpecs } from '../run-specs.js';
import type { SpecKind } from '../run-specs.js';

const optimization: SpecKind<optimizer.OptimizationSpec, optimizer.OptimizationJob> = {
  parse: parseOptimizationSpec,
  titleOf: passNames,
  submit: (mill, spec) => mill.optimizer.submit(spec),
  watch: (mill, jobId, { signal }) => mill.optimizer.watch(jobId, { signal }),
  toJson: (job) => toJson('modelmill.v1.OptimizationJob', job),
};

const verbs = {
  quantizeStatic: 'quantize',
  pruneMagnitude: 'prune',
  pruneStructured: 'prune channels',
  distill: 'distill',
  quantizeDynamic: 'quantize',
  quantizeWeights: 'quantize weights',
  quantizeSigns: 'keep signs',
  quantizeAware: 'train quantized',
  shareWeights: 'share weights',
  storeBytes: 'store bytes',
  storeHalves: 'halve',
  simplify: 'simplify',
  computeHalves: 'compute halves',
} as const;

/** Such as `prune+quantize`. */
export function passNames({ passes, preset, goal }: optimizer.OptimizationSpec): string {
  if (preset !== '') return preset;
  if (goal) return `search ${goal.optimize || 'fastest'}`;
  return passes.map(({ kind }) => (kind ? verbs[kind.$case] : 'nothing')).join('+');
}

export const optimize: Command = {
  name: 'optimize',
  summary: 'Quantizes, prunes, distills or packs a version, and shows how it goes.',
  usage: `mill optimize SPEC.yaml [--detach] [--json]

  SPEC.yaml            an OptimizationSpec (protos/modelmill/v1/optimizer.proto); several documents are several jobs
  --detach             print the job's id and leave it running; Ctrl-C leaves it running, too
  --json               the jobs as JSON when they have ended
${connectionUsage}`,

  run: (args, cli) => runSpecs(optimization, args, cli),
};
