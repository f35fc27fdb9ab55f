import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** What others leave of the same models: bench/peers/make_simplify_counts.py. */
const peers = JSON.parse(readFileSync(join(__dirname, 'simplified-peers.json'), 'utf8')) as {
  readonly encoder: string;
  readonly counts: Readonly<Record<string, { readonly onnxsim: number; readonly onnxslim: number }>>;
};
const fewestOfPeers = (name: string) => Math.min(peers.counts[name]!.onnxsim, peers.counts[name]!.onnxslim);

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

  itEachModel(
    'with weights answers as it did, in no more nodes than onnx-simplifier and OnnxSlim leave',
    modelFiles.filter(isSmall),
    async (file) => {
      const parent = withWeights(parentOf(file));
      const made = await simplified(parent);
      expect(made.graph.nodes.length).toBeLessThanOrEqual(fewestOfPeers(file.name));
      const afterConv = new Set(made.graph.nodes.flatMap((node) => (node.opType === 'Conv' ? node.outputs : [])));
      const unfolded = made.graph.nodes.filter(
        ({ opType, inputs }) => opType === 'BatchNormalization' && afterConv.has(inputs[0]!),
      );
      expect(unfolded).toEqual([]);
      const wanted = await onlyOutput(file, parent);
      const largest = Math.max(...wanted.map(Math.abs));
      for (const got of (await answersOf(file, made))!) expectClose(got[0]!.data, wanted, 0, 1e-4 * largest);
    },
  );
});

describe('an encoder as exporters write it, with open sizes', () => {
  it('keeps its answers at every size, in fewer nodes than onnx-simplifier and OnnxSlim leave', async () => {
    const parent = readOnnx(Buffer.from(peers.encoder, 'base64'));
    const made = await simplified(parent);
    expect(made.graph.nodes.length).toBeLessThan(fewestOfPeers('encoder'));
    expect(made.graph.nodes.filter(({ opType }) => /^(Shape|Gather|Concat|Unsqueeze|Constant)$/.test(opType))).toEqual(
      [],
    );
    for (const [batch, time] of [
      [1, 1],
      [3, 5],
      [2, 70],
    ] as const) {
      const data = Float32Array.from({ length: batch * time * 16 }, (_, i) => Math.sin(1 + i * i));
      const answers = [];
      for (const model of [parent, made]) {
        await using session = await openSession(writeOnnx(model), { graphOptimization: 'disabled' });
        answers.push((await session.run({ x: { dims: [batch, time, 16], data } }))['y']!);
      }
      const [wanted, got] = answers;
      expect(got!.dims).toEqual([batch, time, 16]);
      expectClose(got!.data, wanted!.data, 1e-5, 1e-5);
    }
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
