import { inference } from '@modelmill/client';
import { SkippedCheck, expectEqual, expectThat, refusedCall } from './check.js';
import type { Check } from './check.js';
import { nobody, someModel } from './grpc-checks.js';
import type { Server } from './server.js';
import { rawRequest, typedZeros } from './served-model.js';
import type { ServedModel } from './served-model.js';

const { modelInfer, modelStreamInfer } = inference.GRPCInferenceServiceService;
const grpc = (area: string, promise: string, run: Check['run']): Check => ({ door: 'gRPC', area, promise, run });
const invalid = ['INVALID_ARGUMENT'];

/** A wrong request, made of a right one, is INVALID_ARGUMENT. */
const refuses = (
  promise: string,
  wrong: (request: inference.ModelInferRequest, model: ServedModel) => Partial<inference.ModelInferRequest>,
  words?: RegExp,
  codes: readonly string[] = invalid,
): Check =>
  grpc('errors', promise, async (server) => {
    const model = someModel(server);
    const request = rawRequest(model);
    await refusedCall(server.call(modelInfer, { ...request, ...wrong(request, model) }), codes, words);
    await server.call(modelInfer, request); // and goes on serving
  });

const first = ({ inputs }: inference.ModelInferRequest, changes: object) =>
  inputs.map((input, i) => (i === 0 ? { ...input, ...changes } : input));

const named = (names: readonly string[], parameters: Record<string, inference.InferParameter> = {}) =>
  names.map((name) => ({ name, parameters }));
const int = (int64Param: bigint): inference.InferParameter => ({
  parameterChoice: { $case: 'int64Param', int64Param },
});

/** A model with an output by which classes can be told. */
function classifier({ models }: Server) {
  for (const model of models) {
    const output = model.outputs.find(({ datatype, shape }) => datatype === 'FP32' && (shape.at(-1) ?? 0n) > 1n);
    if (output) return { model, output };
  }
  throw new SkippedCheck('no model gives scores');
}

/** ModelInfer and ModelStreamInfer. */
export const grpcInferChecks: readonly Check[] = [
  grpc('infer', 'every model answers raw contents, with raw contents for each output', async (server) => {
    someModel(server);
    for (const model of server.models) {
      const answer = await server.call(modelInfer, rawRequest(model, { id: 'an id' }));
      expectEqual([answer.modelName, answer.id], [model.name, 'an id']);
      expectThat(answer.modelVersion !== '', answer);
      expectEqual(answer.outputs.map(({ name }) => name).sort(), model.outputs.map(({ name }) => name).sort());
      expectEqual(answer.rawOutputContents.length, answer.outputs.length, 'the number of raw contents');
    }
  }),
  grpc('infer', 'typed contents of every datatype give the same answer as raw ones', async (server) => {
    someModel(server);
    for (const model of server.models) {
      const contents = model.inputs.map(typedZeros);
      if (contents.includes(undefined)) continue;
      const raw = rawRequest(model);
      const inputs = raw.inputs.map((input, i) => ({ ...input, contents: contents[i] }));
      const typed = await server.call(modelInfer, { ...raw, inputs, rawInputContents: [] });
      expectEqual(typed, await server.call(modelInfer, raw), `the answer of '${model.name}'`);
    }
  }),
  grpc('infer', 'requested outputs come alone and in their order', async (server) => {
    const model = server.models.find(({ outputs }) => outputs.length > 1) ?? someModel(server);
    const names = model.outputs.map(({ name }) => name).reverse();
    for (const wanted of [names, names.slice(0, 1)]) {
      const { outputs } = await server.call(modelInfer, rawRequest(model, { outputs: named(wanted) }));
      expectEqual(outputs.map(({ name }) => name), wanted); // prettier-ignore
    }
  }),
  grpc('infer', 'a version that is named is the one that answers', async (server) => {
    const model = someModel(server);
    const { modelVersion } = await server.call(modelInfer, rawRequest(model));
    expectEqual((await server.call(modelInfer, rawRequest(model, { modelVersion }))).modelVersion, modelVersion);
  }),
  grpc('infer', 'priority (as int64 and uint64), timeout and parameters of any name are taken', async (server) => {
    const uint: inference.InferParameter = { parameterChoice: { $case: 'uint64Param', uint64Param: 1n } };
    const text: inference.InferParameter = { parameterChoice: { $case: 'stringParam', stringParam: 'x' } };
    for (const priority of [int(1n), uint]) {
      const parameters = { priority, timeout: int(5_000_000n), mine: text };
      await server.call(modelInfer, rawRequest(someModel(server), { parameters }));
    }
  }),
  grpc('infer', 'classification gives BYTES "value:index", best first', async (server) => {
    const { model, output } = classifier(server);
    const outputs = named([output.name], { classification: int(2n) });
    const answer = await server.call(modelInfer, rawRequest(model, { outputs }));
    expectEqual(answer.outputs[0]!.datatype, 'BYTES', 'the datatype');
    expectEqual(answer.outputs[0]!.shape.at(-1), 2n, 'the last size');
    const raw = answer.rawOutputContents[0]!;
    const text = raw.subarray(4, 4 + raw.readUInt32LE(0)).toString();
    expectThat(/^-?[\d.e+-]+:\d+(:.*)?$/.test(text), text);
  }),
  refuses('an unknown model', () => ({ modelName: nobody }), /^Request for unknown model/, ['NOT_FOUND', 'INVALID_ARGUMENT']), // prettier-ignore
  refuses('an unknown version', () => ({ modelVersion: '987654321' }), /unknown model/, ['NOT_FOUND', 'UNAVAILABLE']),
  refuses('an unknown input', (request) => ({ inputs: first(request, { name: 'no-such-input' }) })),
  refuses('an input twice', ({ inputs, rawInputContents }) => ({
    inputs: [...inputs, inputs[0]!],
    rawInputContents: [...rawInputContents, rawInputContents[0]!],
  })),
  refuses('no inputs', () => ({ inputs: [], rawInputContents: [] })),
  refuses('an unknown output', () => ({ outputs: named(['no-such-output']) })),
  refuses('an output twice', (_, { outputs }) => ({ outputs: named([outputs[0]!.name, outputs[0]!.name]) })),
  refuses('another datatype', ({ inputs, ...rest }) => ({
    inputs: first({ inputs, ...rest }, { datatype: inputs[0]!.datatype === 'FP32' ? 'INT32' : 'FP32' }),
  })),
  refuses('a datatype that is none', (request) => ({ inputs: first(request, { datatype: 'FLOAT' }) })),
  refuses('a negative size', (request) => ({
    inputs: first(request, { shape: request.inputs[0]!.shape.map(() => -1n) }),
  })),
  refuses('sizes whose product overflows', (request) => ({
    inputs: first(request, { shape: [2n ** 62n, 2n ** 62n, 4n] }),
  })),
  refuses('raw contents that are too short', ({ rawInputContents }) => ({
    rawInputContents: rawInputContents.map((raw) => raw.subarray(1)),
  })),
  refuses('fewer raw contents than inputs, or none', () => ({ rawInputContents: [] })),
  refuses('raw and typed contents at once', (request, { inputs }) => ({
    inputs: first(request, { contents: typedZeros(inputs[0]!) ?? inference.InferTensorContents.fromPartial({}) }),
  })),
  refuses('parameters that begin with triton_', () => ({ parameters: { triton_mine: int(1n) } })),
  grpc('stream', 'answers come in the order of the requests', async (server) => {
    const requests = ['1', '2', '3', '4'].map((id) => rawRequest(someModel(server), { id }));
    const answers = await server.stream(modelStreamInfer, requests);
    expectEqual(answers.map(({ inferResponse }) => inferResponse?.id), ['1', '2', '3', '4']); // prettier-ignore
  }),
  grpc('stream', 'an error is a message with the id, and the stream goes on', async (server) => {
    const right = rawRequest(someModel(server), { id: 'right' });
    const answers = await server.stream(modelStreamInfer, [{ ...right, id: 'wrong', modelName: nobody }, right]);
    expectEqual(answers.map(({ inferResponse }) => inferResponse?.id), ['wrong', 'right']); // prettier-ignore
    expectThat(answers[0]!.errorMessage !== '' && answers[1]!.errorMessage === '', answers);
  }),
];
