import { trainer as contract } from '@modelmill/contracts';
import type { trainer } from '@modelmill/contracts';
import { densify, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { OptimizationPlan, PlannedPass } from './optimization-plan.js';
import type { PassContext, PassResult } from './pass-context.js';
import { pruneMagnitude } from './prune-magnitude.js';
import { smallForms } from './small-forms.js';
import { makeStatic } from './static-pass.js';

const finetuneBatch = 64;

type Kind = PlannedPass['kind'];
type Of<K extends Kind> = Extract<PlannedPass, { kind: K }>;

const passes: { readonly [K in Kind]: (model: Model, pass: Of<K>, context: PassContext) => Promise<PassResult> } = {
  quantize_static: makeStatic,
  prune_magnitude: prune,
  distill,
  ...smallForms,
};

/** Makes one pass over a model, which is left as it is. */
export function makePass<K extends Kind>(model: Model, pass: Of<K>, context: PassContext): Promise<PassResult> {
  return passes[pass.kind as K](model, pass, context);
}

async function prune(parent: Model, pass: Of<'prune_magnitude'>, context: PassContext): Promise<PassResult> {
  const { plan, artifacts } = context;
  await context.onProgress('pruning', 0);
  const model = densify(parent);
  pruneMagnitude(model, pass.sparsity);
  const { sha256 } = await artifacts.put(writeOnnx(model));
  const spec = contract.TrainingSpec.fromPartial({
    ...commonSpec(plan),
    base: { source: { $case: 'artifactSha256', artifactSha256: sha256 }, keepZeros: true },
    data: { ...plan.data, normalize: '' }, // the graph has its own
    optimizer: { kind: { $case: 'adam', adam: { learningRate: pass.learningRate } } },
    epochs: pass.epochs,
    batchSize: Math.min(finetuneBatch, context.examples.train.length),
  });
  const { artifactSha256 } = await context.train('fine-tuning', spec);
  return {
    model: readOnnx(await artifacts.read(artifactSha256)),
    words: `pruned ${Number((100 * pass.sparsity).toPrecision(4))} %`,
    notes: [`The zeros stayed zero through ${pass.epochs} epochs of fine-tuning.`],
  };
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
