import { parseOptimizationSpec } from '@modelmill/client';
import { smallSpec, uploadDigits } from './digits.js';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(300_000);

const hidden = (units: number) => ({ dense: { units, activation: 'relu' } });

describe('students of a version', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
    await uploadDigits(mesh.mill);
    const layers = [hidden(64), hidden(64), hidden(64), { dense: { units: 10 } }];
    for (const [model, epochs] of Object.entries({ digits: 12, other: 3 })) {
      const { status } = await mesh.mill.trainer.submit(smallSpec({ model, layers, epochs }));
      await succeeded(mesh.mill.trainer.watch(status!.jobId));
    }
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const submit = (distill: Record<string, unknown>) =>
    mesh.mill.optimizer.submit(
      parseOptimizationSpec({
        model: 'digits',
        version: '1',
        data: { dataset: 'digits', normalize: 'minmax' },
        passes: [{ distill: { epochs: 12, optimizer: { adam: { learning_rate: 0.005 } }, ...distill } }],
        max_accuracy_drop: 0.05,
        seed: 1,
      }),
    );

  it.each([
    ['a preset that learns hidden values', { student_preset: { mlp: { hidden: [24] } } }, 64 * 24 + 24 + 250],
    // the first of three blocks of 64 to 64 and a rectifier
    ['every other of its blocks', { thinned: { every: 2 } }, 2 * (64 * 64 + 64) + 650],
    ['half of its neurons', { thinned: { ratio: 0.5 } }, undefined],
    ['layers, taught by another model', { student: [hidden(16), { dense: { units: 10 } }], teacher: { model: 'other', version: '1' } }, 64 * 16 + 16 + 170], // prettier-ignore
  ])('are %s', async (_, student, parameters) => {
    const features = [{ teacher: 'layer2.relu', student: 'layer0.relu', loss: 'cosine', weight: 0.5 }];
    const { status } = await submit({ ...student, ...('student_preset' in student ? { features } : {}) });
    const { version, metrics } = await succeeded(mesh.mill.optimizer.watch(status!.jobId));
    expect(metrics['accuracy']).toBeGreaterThan(0.93);
    const report = await mesh.mill.registry.getReport('digits', version);
    expect(report.markdown).toContain(
      'teacher' in student ? "learned from '1' of model 'other'" : 'learned from version 1',
    );
    const before = (await mesh.mill.registry.getVersion('digits', '1'))!.metrics['parameters']!;
    if (parameters !== undefined) expect(metrics['parameters']).toBe(parameters);
    else expect(metrics['parameters']! / before).toBeLessThan(0.5);
  });

  it('are refused where they ask for what the teacher has not, with what it has', () =>
    expect(
      submit({ student: [{ dense: { units: 10 } }], features: [{ teacher: 'hint', student: 'output' }] }),
    ).rejects.toThrow(
      /passes\[0\]\.distill\.student: distillation\.features\[0\]\.teacher is 'hint', the teacher has .*layer0, layer0\.relu, layer1/,
    ));
});
