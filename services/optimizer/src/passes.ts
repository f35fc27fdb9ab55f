import { trainer as contract } from '@modelmill/contracts';
import type { trainer } from '@modelmill/contracts';
import { densify, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';
import type { OptimizationPlan, PlannedPass } from './optimization-plan.js';
import type { PassContext, PassResult } from './pass-context.js';
import { pruneMagnitude } from './prune/prune-magnitude.js';
import { pruneStructured } from './prune/prune-structured.js';
import { smallForms } from './pack/small-forms.js';
import { makeStatic } from './quantize/static-pass.js';
import { prunePattern } from './prune/prune-pattern.js';
import { weightFigures } from './weighted-layers.js';

const finetuneBatch = 64;

type Kind = PlannedPass['kind'];
type Of<K extends Kind> = Extract<PlannedPass, { kind: K }>;

const passes: { readonly [K in Kind]: (model: Model, pass: Of<K>, context: PassContext) => Promise<PassResult> } = {
  quantize_static: makeStatic,
  prune_magnitude: prune,
  prune_structured: pruneChannels,
  distill,
  ...smallForms,
};

/** Makes one pass over a model, which is left as it is. */
export function makePass<K extends Kind>(model: Model, pass: Of<K>, context: PassContext): Promise<PassResult> {
  return passes[pass.kind as K](model, pass, context);
}

async function prune(parent: Model, pass: Of<'prune_magnitude'>, context: PassContext): Promise<PassResult> {
  await context.onProgress('pruning', 0);
  const model = densify(parent);
  const prunedBefore = weightFigures(model).sparsity;
  if (pass.pattern) prunePattern(model, pass.pattern);
  else pruneMagnitude(model, pass.sparsity);
  if (weightFigures(model).sparsity === prunedBefore) {
    throw new JobFailedError('there is nothing to prune: no weights but those that are zero would become zero');
  }
  const { pattern, sparsity } = pass;
  const share = pattern ? `to ${pattern.kept}:${pattern.of}` : `${Number((100 * sparsity).toPrecision(4))} %`;
  return {
    model: await finetuned(model, pass, context, true),
    words: `pruned ${share}`,
    notes: [`The zeros stayed zero through ${pass.epochs} epochs of fine-tuning.`],
  };
}

async function pruneChannels(parent: Model, pass: Of<'prune_structured'>, context: PassContext): Promise<PassResult> {
  await context.onProgress('pruning', 0);
  const { model, removed, channels, groups, multiplyAdds } = pruneStructured(parent, pass);
  const [before, after] = multiplyAdds.map((count) => count.toLocaleString('en-US'));
  const share = Number(((100 * removed) / channels).toPrecision(3));
  return {
    model: await finetuned(model, pass, context, false),
    words: `pruned ${share} % of the channels`,
    notes: [
      `${removed} of ${channels} removable channels (in ${groups} ${groups === 1 ? 'group' : 'groups'}) are gone, ` +
        `the least important first: ${before} multiply-adds per example became ${after}. ` +
        `The rest was fine-tuned for ${pass.epochs} epochs.`,
    ],
  };
}

/** What the trainer makes of a model by training all its weights. */
async function finetuned(
  model: Model,
  { epochs, learningRate }: { readonly epochs: number; readonly learningRate: number },
  { plan, artifacts, examples, train }: PassContext,
  keepZeros: boolean,
): Promise<Model> {
  const { sha256 } = await artifacts.put(writeOnnx(model));
  const spec = contract.TrainingSpec.fromPartial({
    ...commonSpec(plan),
    base: { source: { $case: 'artifactSha256', artifactSha256: sha256 }, keepZeros },
    data: { ...plan.data, normalize: '' }, // the graph has its own
    optimizer: { kind: { $case: 'adam', adam: { learningRate } } },
    epochs,
    batchSize: Math.min(finetuneBatch, examples.train.length),
  });
  const { artifactSha256 } = await train('fine-tuning', spec);
  return readOnnx(await artifacts.read(artifactSha256));
}

async function distill(_parent: Model, pass: Of<'distill'>, context: PassContext): Promise<PassResult> {
  const { artifactSha256 } = await context.train('distilling', distillationSpec(context.plan, pass));
  return {
    model: readOnnx(await context.artifacts.read(artifactSha256)),
    words: 'distilled',
    notes: [
      `The student learned from version ${context.plan.version} for ${pass.epochs} epochs ` +
        `(temperature ${pass.temperature}, teacher's weight ${pass.mix}).`,
    ],
  };
}

/** The training a distillation asks for. */
export function distillationSpec(plan: OptimizationPlan, pass: Of<'distill'>): trainer.TrainingSpec {
  const { student, epochs, batchSize, temperature, mix, optimizer } = pass;
  return contract.TrainingSpec.fromPartial({
    ...commonSpec(plan),
    layers: [...student],
    distillation: { version: plan.version, temperature, mix },
    epochs,
    batchSize,
    ...(optimizer === undefined ? {} : { optimizer }),
  });
}

const commonSpec = ({ model, data, seed }: OptimizationPlan) => ({ model, data, seed, artifactOnly: true });
