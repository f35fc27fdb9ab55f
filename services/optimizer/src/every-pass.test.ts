import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { optimizer, trainer as contract } from '@modelmill/contracts';
import { cloneModel, floatTensor, floatsOf, readOnnx, sparsify, writeOnnx } from '@modelmill/onnx';
import type { Model, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { JobFailedError, openFileArtifacts } from '@modelmill/store';
import { bindingFor, registrySignature } from './binding.js';
import type { Examples } from './examples.js';
import { entwinedModels, usualModels } from './pass-models-for-tests.js';
import type { PassContext } from './pass-context.js';
import type { PassCase } from './pass-kind.js';
import { planPasses } from './passes.js';
import { exampleOf } from './quantize/quantize-for-tests.js';

jest.setTimeout(240_000);

/** What a pass is asked, and how near the model that it makes has to come. */
interface Row {
  readonly asked: object;
  /** How far ONNX Runtime's optimized answers may lie from those without, as a share of the largest. */
  readonly apart: number;
  /** Models in which it finds nothing to do, and says so. */
  readonly idle?: readonly string[];
  /** Signal to noise against the parent, in decibels; undefined where the pass is to change answers. */
  readonly decibels: number | undefined;
}

const transformer = 'a transformer of matrix products';
const entwined = Object.keys(entwinedModels);

const rounding = 1e-5;
/** Sums of integers that float arithmetic rounds otherwise become neighbours of eight bits. */
const neighbours = 0.02;
const untrained = { finetuneEpochs: 1 };

/** One row per pass: a pass without one does not compile. */
const rows: { readonly [C in PassCase]: Row } = {
  simplify: { asked: {}, apart: rounding, decibels: 90, idle: [transformer, ...entwined] },
  computeHalves: { asked: {}, apart: 5e-3, decibels: 45 },
  quantizeStatic: { asked: {}, apart: neighbours, decibels: 15 },
  quantizeDynamic: { asked: {}, apart: neighbours, decibels: 20 },
  quantizeWeights: { asked: { bits: 8, blockSize: 16 }, apart: neighbours, decibels: 20 },
  quantizeAware: { asked: untrained, apart: neighbours, decibels: 15 },
  quantizeSigns: { asked: { allLayers: true }, apart: rounding, decibels: undefined },
  shareWeights: { asked: { clusters: 256 }, apart: rounding, decibels: 30 },
  storeBytes: { asked: {}, apart: rounding, decibels: 30 },
  storeHalves: { asked: {}, apart: rounding, decibels: 50 },
  pruneMagnitude: { asked: { sparsity: 0.7, ...untrained }, apart: rounding, decibels: undefined },
  pruneStructured: { asked: { ratio: 0.3, ...untrained }, apart: rounding, decibels: undefined, idle: entwined },
  distill: { asked: { thinned: { ratio: 0.3 } }, apart: rounding, decibels: undefined, idle: entwined },
};

const features = 64;
const classes = 10;
const task = { kind: 'classes', dataset: 'numbers', featureShape: [features], classes } as const;
const plan = {
  model: 'net',
  version: '1',
  data: contract.TrainingData.fromPartial({ dataset: 'numbers' }),
  seed: 1n,
};
const someRows = Uint32Array.from({ length: 48 }, (_, i) => i);
const examples: Examples = {
  task,
  train: someRows,
  heldOut: someRows,
  split: 'test',
  atOnce: 16,
  inputs: (some, shape) => ({
    datatype: 'FP32',
    shape: [some.length, ...shape],
    data: new Uint8Array(Float32Array.from(exampleOf([some.length, ...shape]).data).buffer),
  }),
  targets: (some) => Float32Array.from(some, (row) => row % classes),
  [Symbol.dispose]: () => {},
};

/** Answers to three examples at every level of ONNX Runtime's own optimization, the first without any. */
async function answersOf(model: Model): Promise<Float32Array[]> {
  const bytes = writeOnnx(model);
  const answers = [];
  for (const graphOptimization of ['disabled', 'basic', 'extended', 'all'] as const) {
    await using session = await openSession(bytes, { providers: ['cpu'], graphOptimization });
    const { y, ...more } = await session.run({ input: exampleOf([3, features]) });
    answers.push((y ?? Object.values(more)[0]!).data as Float32Array);
  }
  return answers;
}

const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);

describe('every pass', () => {
  let folder: string;
  let artifacts: PassContext['artifacts'];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mill-every-pass-'));
    artifacts = { ...(await openFileArtifacts(folder)), mostFileBytes: 2 ** 30 };
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** A trainer whose training changes nothing. */
  const train: PassContext['train'] = async (_stage, { base }) => {
    if (base?.source?.$case !== 'artifactSha256') throw new Error('wanted an artifact to go on from');
    return { version: '', artifactSha256: base.source.artifactSha256, metrics: {}, historySha256: '', notes: [] };
  };

  /** What a pass makes of a model; undefined where it finds nothing to do, and says so. */
  async function made(name: PassCase, parent: Model): Promise<Model | undefined> {
    const [pass] = planPasses([optimizer.Pass.fromJSON({ [name]: rows[name].asked })]);
    try {
      const { model } = await pass!.make(parent, {
        plan,
        examples,
        artifacts,
        signal: new AbortController().signal,
        bindingOf: (model) => bindingFor('net', registrySignature(model), task),
        train,
        onProgress: async () => {},
      });
      return readOnnx(writeOnnx(sparsify(model)));
    } catch (error) {
      if (error instanceof JobFailedError && /^there is (nothing|no channel) to/.test(error.message)) return undefined;
      throw error;
    }
  }

  async function expectToAnswer(name: PassCase, parent: Model): Promise<boolean> {
    const { apart, decibels } = rows[name];
    const before = writeOnnx(cloneModel(parent));
    const model = await made(name, parent);
    expect(writeOnnx(parent)).toEqual(before);
    if (!model) return false;
    const [plain, ...optimized] = (await answersOf(model)) as [Float32Array, ...Float32Array[]];
    expect(plain).toHaveLength(3 * classes);
    expect(plain.every(Number.isFinite)).toBe(true);
    for (const answers of optimized) {
      expect(largest(answers.map((value, i) => value - plain[i]!)) / largest(plain)).toBeLessThanOrEqual(apart);
    }
    if (decibels !== undefined) {
      const [wanted] = (await answersOf(parent)) as [Float32Array];
      const noise = power(wanted.map((value, i) => value - plain[i]!));
      expect(10 * Math.log10(power(wanted) / noise)).toBeGreaterThan(decibels);
    }
    return true;
  }

  const names = Object.keys(rows) as PassCase[];
  const pairs = (models: object) => names.flatMap((name) => Object.keys(models).map((model) => [name, model] as const));

  it.each(names.flatMap((name) => [NaN, -Infinity].map((odd) => [name, odd] as const)))(
    '%s refuses a weight that is %d',
    async (name, odd) => {
      const spoilt = usualModels['a network of dense layers']!();
      const { initializers } = spoilt.graph;
      const [, weight] = [...initializers.values()].filter(({ dims }) => dims.length === 2) as [Tensor, Tensor];
      const values = floatsOf(weight);
      const [rows, columns] = weight.dims as [number, number];
      values.fill(odd, values.length - columns - 1);
      initializers.set(weight.name, floatTensor(weight.name, weight.dims, values));
      await expect(made(name, spoilt)).rejects.toThrow(
        `initializer '${weight.name}' is NaN or infinite in ${columns + 1} of its ${values.length} numbers, the first is ` +
          `${odd} at [${rows - 2}, ${columns - 1}]: wants finite weights`,
      );
    },
  );

  it.each(pairs({ ...usualModels, ...entwinedModels }))(
    '%s makes of %s what answers the same, optimized or not',
    async (name, of) => {
      const isMade = await expectToAnswer(name, { ...usualModels, ...entwinedModels }[of]!());
      expect(isMade).toBe(!rows[name].idle?.includes(of));
    },
  );
});
