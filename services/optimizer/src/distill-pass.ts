import { trainer as contract } from '@modelmill/contracts';
import type { layers, optimizer, recipes, trainer } from '@modelmill/contracts';
import type { Model } from '@modelmill/onnx';
import * as errors from './errors.js';
import { range } from './field-checks.js';
import { childSpec } from './finetune.js';
import { keepModel, openModel } from './model-files.js';
import type { PassContext, PlanSubject } from './pass-context.js';
import { definePass } from './pass-kind.js';
import { planThinning, thinned } from './thinning.js';
import type { Thinning } from './thinning.js';

type Student =
  | { readonly kind: 'student'; readonly layers: readonly layers.Layer[] }
  | { readonly kind: 'student_preset'; readonly preset: layers.Preset }
  | { readonly kind: 'thinned'; readonly thinning: Thinning };

interface Distillation {
  readonly student: Student;
  readonly epochs: number;
  readonly batchSize: number;
  readonly temperature: number;
  readonly mix: number;
  readonly optimizer: recipes.TrainingOptimizer | undefined;
  readonly features: readonly recipes.FeatureLoss[];
  /** Unset: the version that is optimized. */
  readonly teacher: { readonly model: string; readonly version: string } | undefined;
}

/** A smaller network learns from the version's answers, or from another's. */
export const distillation = definePass<'distill', Distillation>({
  kind: 'distill',
  startsAnew: true,

  plan({ distill }, at) {
    const { epochs, batchSize, temperature, mix, optimizer, features, teacher } = distill;
    if (teacher?.version === '') throw errors.noTeacherVersion(at);
    return {
      student: planStudent(distill, at),
      epochs: range(epochs || 30, 1, 100_000, `${at}.epochs`),
      batchSize: range(batchSize || 64, 1, 65_536, `${at}.batch_size`),
      temperature: range(temperature || 4, 0.1, 100, `${at}.temperature`),
      mix: range(mix || 0.7, 0, 1, `${at}.mix`),
      optimizer,
      features,
      teacher,
    };
  },

  async make(parent, settings, context) {
    const { student, epochs, temperature, mix, features } = settings;
    const { start, notes } = await startOf(parent, student, context);
    const { artifactSha256 } = await context.train('distilling', trainingOf(settings, context.plan, start));
    const hidden = features.length === 0 ? '' : `, with ${features.length} of its hidden values`;
    return {
      model: await openModel(context.artifacts, artifactSha256),
      words: student.kind === 'thinned' ? 'thinned and distilled' : 'distilled',
      notes: [
        ...notes,
        `The student learned from ${teacherInWords(settings, context.plan)}${hidden} for ${epochs} epochs ` +
          `(temperature ${temperature}, teacher's weight ${mix}).`,
      ],
    };
  },

  training(settings, plan) {
    const { student } = settings;
    // a part of the version fits where the whole does
    const start =
      student.kind === 'thinned' ? basedOn(plan, { $case: 'version', version: plan.version }) : given(student);
    return { field: student.kind, spec: trainingOf(settings, plan, start) };
  },
});

/** What a training of the student begins with. */
type Start = Parameters<typeof contract.TrainingSpec.fromPartial>[0];

async function startOf(
  parent: Model,
  student: Student,
  { plan, artifacts, onProgress }: PassContext,
): Promise<{ readonly start: Start; readonly notes: readonly string[] }> {
  if (student.kind !== 'thinned') return { start: given(student), notes: [] };
  await onProgress('thinning', 0);
  const { model, note } = thinned(parent, student.thinning);
  const { sha256 } = await keepModel(artifacts, model);
  return { start: basedOn(plan, { $case: 'artifactSha256', artifactSha256: sha256 }), notes: [note] };
}

const given = (student: Exclude<Student, { kind: 'thinned' }>): Start =>
  student.kind === 'student' ? { layers: [...student.layers] } : { preset: student.preset };

const basedOn = ({ data }: PlanSubject, source: NonNullable<trainer.BaseModel['source']>): Start => ({
  base: { source },
  data: { ...data, normalize: '' }, // the graph has its own
});

function planStudent({ student, studentPreset, thinned: asked }: optimizer.StudentDistillation, at: string): Student {
  const all: (Student | undefined)[] = [
    student.length > 0 ? { kind: 'student', layers: student } : undefined,
    studentPreset && { kind: 'student_preset', preset: studentPreset },
    asked && { kind: 'thinned', thinning: planThinning(asked, `${at}.thinned`) },
  ];
  const set = all.filter((one) => one !== undefined);
  const [one] = set;
  if (!one || set.length > 1) throw errors.oneStudent(at, set.map(({ kind }) => kind)); // prettier-ignore
  return one;
}

function trainingOf(settings: Distillation, plan: PlanSubject, start: Start): trainer.TrainingSpec {
  const { epochs, batchSize, temperature, mix, optimizer, features, teacher } = settings;
  return contract.TrainingSpec.fromPartial({
    ...childSpec(plan),
    ...start,
    distillation: { version: plan.version, ...teacher, temperature, mix, features: [...features] },
    epochs,
    batchSize,
    ...(optimizer === undefined ? {} : { optimizer }),
  });
}

function teacherInWords({ teacher }: Distillation, plan: PlanSubject): string {
  if (!teacher) return `version ${plan.version}`;
  const { model, version } = teacher;
  return `'${version}' of model '${model || plan.model}'`;
}
