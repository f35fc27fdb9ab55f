import { createHash } from 'node:crypto';
import { optimizer } from '@modelmill/contracts';
import { readOnnx, writeOnnx } from '@modelmill/onnx';
import { canonicalJson, lineageOf, withLineage, workplace } from './lineage.js';
import { someCnn } from './models-for-tests.js';
import { planOptimization } from './optimization-plan.js';
import type { PinnedPlan } from './pinned-plan.js';

const prune = (fields: object) => ({
  kind: { $case: 'pruneMagnitude' as const, pruneMagnitude: { sparsity: 0.8, ...fields } },
});
const lineage = (fields: object) => {
  const spec = { model: 'digits', version: '1', data: { dataset: 'digits' }, ...fields };
  const plan = planOptimization(optimizer.OptimizationSpec.fromPartial(spec));
  const parent = { artifactSha256: 'a'.repeat(64) };
  return lineageOf({ plan, parent, dataset: { artifactSha256: 'b'.repeat(64) } } as PinnedPlan, plan.passes);
};

describe('the lineage of a version', () => {
  it('has one recipe for specs that mean the same, and another for any other', () => {
    const { recipe_sha256: recipe } = lineage({ passes: [prune({})] });
    expect(recipe).toMatch(/^[0-9a-f]{64}$/);
    expect(lineage({ passes: [prune({ finetuneEpochs: 10 })] }).recipe_sha256).toBe(recipe);
    expect(lineage({ passes: [prune({})], maxDrop: 0.3 }).recipe_sha256).toBe(recipe);
    expect(lineage({ passes: [prune({ finetuneEpochs: 9 })] }).recipe_sha256).not.toBe(recipe);
    expect(lineage({ passes: [prune({})], seed: 1n }).recipe_sha256).not.toBe(recipe);
  });

  it('is written with the engine and the CPU into the file, beside what else is said there', () => {
    const model = someCnn();
    model.metadata.set('author', 'a miller');
    const made = lineage({ passes: [prune({})] });
    const here = workplace();
    expect(here).toEqual({
      version: expect.stringMatching(/^onnxruntime \d+\.\d+\.\d+$/) as string,
      cpu: expect.stringMatching(/./) as string,
      int8: expect.stringMatching(/^(x64 with(out)? VNNI|ARM64)$/) as string,
    });
    const { metadata } = readOnnx(writeOnnx(withLineage(model, made, here)));
    expect(Object.fromEntries(metadata)).toEqual({
      author: 'a miller',
      'modelmill.parent': 'a'.repeat(64),
      'modelmill.dataset': 'b'.repeat(64),
      'modelmill.recipe': made.recipe_sha256,
      'modelmill.engine': here.version,
      'modelmill.cpu': `${here.cpu} (${here.int8})`,
    });
    expect([...model.metadata.keys()]).toEqual(['author']);
  });

  it('is of JSON in one order of keys', () => {
    const value = { b: [1, { d: undefined, c: 7n }], a: null };
    expect(canonicalJson(value)).toBe('{"a":null,"b":[1,{"c":"7"}]}');
    expect(
      createHash('sha256')
        .update(canonicalJson({ a: null, b: value.b }))
        .digest('hex'),
    ).toBe(createHash('sha256').update(canonicalJson(value)).digest('hex'));
  });
});
