import { checkAdmission, readOnnx, writeOnnx } from '@modelmill/onnx';
import { computeHalves, simplify } from '@modelmill/optimizer';
import type { Model } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { expectClose, itEachModel, lift, modelFiles, runOn, typed, withWeights } from './onnx-models.js';
import type { ModelFile } from './onnx-models.js';

jest.setTimeout(240_000);

/** What this ONNX Runtime has no operator for, or no locale. */
const mayBeRefused = /gradient|strnorm/;
const isLight = ({ name }: ModelFile) => name.startsWith('light');
/** Those whose weights are soon made. */
const isSmall = ({ name }: ModelFile) => /^light_(densenet|inception_v2|shufflenet)/.test(name);

const signal = new AbortController().signal;
const simplified = async (model: Model) => (await simplify(model, { mostBytes: 2 ** 16, signal })).model;
const halved = (model: Model) =>
  computeHalves(model, { convertIo: false, blockedOperators: [], blockedNodes: [] }).model;

function parentOf({ bytes }: ModelFile): Model {
  const model = readOnnx(bytes);
  if (model.opsets.get('')! < 7) lift(model);
  return model;
}

/** Answers with and without ONNX Runtime's own optimization; undefined where it cannot open the model at all. */
async function answersOf(file: ModelFile, model: Model) {
  const bytes = writeOnnx(model);
  if (!/gradient/.test(file.name)) checkAdmission(bytes);
  const { inputs } = file.published();
  const answers = [];
  for (const graphOptimization of ['disabled', 'all'] as const) {
    const opened = await openSession(bytes, { graphOptimization }).catch(String);
    if (typeof opened === 'string') {
      expect(file.name).toMatch(mayBeRefused);
      expect(opened).toBe(await openSession(file.bytes, { graphOptimization: 'disabled' }).catch(String));
      return undefined;
    }
    await using session = opened;
    answers.push(await runOn(session, inputs));
  }
  return answers;
}

async function onlyOutput(file: ModelFile, model: Model): Promise<Float32Array> {
  const [plain] = (await answersOf(file, model))!;
  return plain![0]!.data as Float32Array;
}

describe('a simplified model', () => {
  itEachModel('is admitted and gives the published outputs', modelFiles, async (file) => {
    const { outputs } = file.published();
    for (const got of (await answersOf(file, await simplified(parentOf(file)))) ?? []) {
      expect(got.map(({ dims }) => dims)).toEqual(outputs.map(({ dims }) => dims));
      got.forEach((output, i) => expectClose(output.data, typed(outputs[i]!).data));
    }
  });

  itEachModel('with weights answers as it did, in fewer nodes', modelFiles.filter(isSmall), async (file) => {
    const parent = withWeights(parentOf(file));
    const made = await simplified(parent);
    expect(made.graph.nodes.length).toBeLessThan(parent.graph.nodes.length);
    expect(made.graph.nodes.map(({ opType }) => opType)).not.toContain('BatchNormalization');
    const wanted = await onlyOutput(file, parent);
    const largest = Math.max(...wanted.map(Math.abs));
    for (const got of (await answersOf(file, made))!) expectClose(got[0]!.data, wanted, 0, 1e-4 * largest);
  });
});

describe('a model that computes in halves', () => {
  itEachModel(
    'is admitted and gives the published outputs, to the digits of a half',
    modelFiles.filter((file) => !isLight(file)),
    async (file) => {
      const { outputs } = file.published();
      for (const got of (await answersOf(file, halved(parentOf(file)))) ?? []) {
        expect(got.map(({ dims }) => dims)).toEqual(outputs.map(({ dims }) => dims));
        got.forEach((output, i) => expectClose(output.data, typed(outputs[i]!).data, 5e-3, 5e-3));
      }
    },
  );

  itEachModel(
    'with weights answers within a hundredth',
    modelFiles.filter(({ name }) => /squeezenet|shufflenet/.test(name)),
    async (file) => {
      const parent = withWeights(parentOf(file));
      const wanted = await onlyOutput(file, parent);
      const largest = Math.max(...wanted.map(Math.abs));
      for (const got of (await answersOf(file, halved(parent)))!) expectClose(got[0]!.data, wanted, 0, 1e-2 * largest);
    },
  );
});
