import { trainer as contract } from '@modelmill/contracts';
import type { layers, recipes, trainer } from '@modelmill/contracts';
import { readOnnx } from '@modelmill/onnx';
import * as errors from './errors.js';
import { range } from './field-checks.js';
import { childSpec } from './finetune.js';
import type { PlanSubject } from './pass-context.js';
import { definePass } from './pass-kind.js';

interface Distillation {
  readonly student: readonly layers.Layer[];
  readonly epochs: number;
  readonly batchSize: number;
  readonly temperature: number;
  readonly mix: number;
  readonly optimizer: recipes.TrainingOptimizer | undefined;
}

/** A smaller network learns from the version's answers. */
export const distillation = definePass<'distill', Distillation>({
  kind: 'distill',
  startsAnew: true,

  plan({ distill: { student, epochs, batchSize, temperature, mix, optimizer } }, at) {
    if (student.length === 0) throw errors.noStudent(at);
    return {
      student,
      epochs: range(epochs || 30, 1, 100_000, `${at}.epochs`),
      batchSize: range(batchSize || 64, 1, 65_536, `${at}.batch_size`),
      temperature: range(temperature || 4, 0.1, 100, `${at}.temperature`),
      mix: range(mix || 0.7, 0, 1, `${at}.mix`),
      optimizer,
    };
  },

  async make(_parent, settings, { plan, artifacts, train }) {
    const { artifactSha256 } = await train('distilling', trainingOf(settings, plan));
    return {
      model: readOnnx(await artifacts.read(artifactSha256)),
      words: 'distilled',
      notes: [
        `The student learned from version ${plan.version} for ${settings.epochs} epochs ` +
          `(temperature ${settings.temperature}, teacher's weight ${settings.mix}).`,
      ],
    };
  },

  training: (settings, plan) => ({ field: 'student', spec: trainingOf(settings, plan) }),
});

function trainingOf(settings: Distillation, plan: PlanSubject): trainer.TrainingSpec {
  const { student, epochs, batchSize, temperature, mix, optimizer } = settings;
  return contract.TrainingSpec.fromPartial({
    ...childSpec(plan),
    layers: [...student],
    distillation: { version: plan.version, temperature, mix },
    epochs,
    batchSize,
    ...(optimizer === undefined ? {} : { optimizer }),
  });
}
