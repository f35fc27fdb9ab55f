import { deflateSync, gunzipSync, gzipSync } from 'node:zlib';
import { SkippedCheck, expectEqual, expectThat, refusedAnswer } from './check.js';
import type { Check } from './check.js';
import { nobody, someModel } from './grpc-checks.js';
import type { Answer, Server } from './server.js';
import { binaryRequest, jsonRequest, rawZeros } from './served-model.js';
import type { ServedModel } from './served-model.js';

const rest = (area: string, promise: string, run: Check['run']): Check => ({ door: 'REST', area, promise, run });
const at = ({ name }: { name: string }) => `/v2/models/${encodeURIComponent(name)}/infer`;

interface Inferred {
  readonly id?: string;
  readonly model_name: string;
  readonly outputs: readonly {
    name: string;
    datatype: string;
    shape: number[];
    data?: unknown[];
    parameters?: { binary_data_size?: number };
  }[];
}

function inferred({ status, json, headers, bytes }: Answer): Inferred {
  const length = headers.get('inference-header-content-length');
  const body = (length === null ? json : JSON.parse(bytes.subarray(0, Number(length)).toString())) as Inferred;
  expectThat(status === 200, `${status} ${bytes.toString().slice(0, 200)}`);
  return body;
}

/** The first model whose inputs have a JSON form, with its request. */
function jsonModel(server: Server, changes: object = {}) {
  someModel(server);
  for (const model of server.models) {
    const body = jsonRequest(model, changes);
    if (body && model.outputs.every(({ datatype }) => !datatype.includes('F16'))) return { model, body };
  }
  throw new SkippedCheck('no model takes JSON');
}

/** A model that gives back what it is given. */
async function identity(server: Server, datatype: string, values: unknown[]) {
  for (const model of server.models) {
    const [input] = model.inputs;
    if (model.inputs.length !== 1 || model.outputs.length !== 1 || input!.datatype !== datatype) continue;
    if (model.outputs[0]!.datatype !== datatype || input!.shape.length !== 1) continue;
    const inputs = [{ name: input!.name, datatype, shape: [values.length], data: values }];
    const { outputs } = inferred(await server.post(at(model), bigints({ inputs })));
    if (outputs[0]!.shape.join() === String(values.length)) return model;
  }
  throw new SkippedCheck(`no model gives ${datatype} back`);
}

/** JSON with the digits of bigints, in both directions as text. */
const bigints = (body: object) =>
  JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? `#${value}#` : value)).replaceAll(
    /"#(-?\d+)#"/g,
    '$1',
  );

/** A wrong body, made of a right one. */
const refuses = (
  promise: string,
  codes: readonly number[],
  wrong: (body: Body, model: ServedModel) => unknown,
): Check =>
  rest('errors', promise, async (server) => {
    const { model, body } = jsonModel(server);
    refusedAnswer(await server.post(at(model), wrong(body as Body, model)), codes);
    inferred(await server.post(at(model), body)); // and goes on serving
  });
interface Body {
  inputs: { name: string; datatype: string; shape: number[]; data: unknown[] }[];
}
const first = ({ inputs }: Body, changes: object) => ({
  inputs: inputs.map((input, i) => (i === 0 ? { ...input, ...changes } : input)),
});

const binaryHeader = (promise: string, header: (length: number) => string): Check =>
  rest('errors', `Inference-Header-Content-Length ${promise}`, async (server) => {
    const model = someModel(server);
    const { body, headers } = binaryRequest(model);
    const wrong = { ...headers, 'inference-header-content-length': header(body.length) };
    refusedAnswer(await server.post(at(model), body, wrong), [400]);
  });

/** POST …/infer. */
export const restInferChecks: readonly Check[] = [
  rest('infer', 'JSON in, JSON out, with the id', async (server) => {
    const { model, body } = jsonModel(server, { id: 'an id' });
    const answer = inferred(await server.post(at(model), body));
    expectEqual([answer.id, answer.model_name], ['an id', model.name]);
    expectEqual(answer.outputs.map(({ name }) => name).sort(), model.outputs.map(({ name }) => name).sort());
    expectThat(answer.outputs.every(({ data }) => Array.isArray(data)), answer); // prettier-ignore
  }),
  rest('infer', 'every model answers binary tensors with binary tensors', async (server) => {
    someModel(server);
    for (const model of server.models) {
      const { body, headers } = binaryRequest(model);
      const answer = await server.post(at(model), body, headers);
      const { outputs } = inferred(answer);
      const sizes = outputs.map(({ parameters }) => parameters?.binary_data_size ?? NaN);
      const head = Number(answer.headers.get('inference-header-content-length') ?? answer.bytes.length);
      expectEqual(answer.bytes.length, head + sizes.reduce((sum, size) => sum + size, 0), `bytes of '${model.name}'`);
    }
  }),
  rest('infer', 'requested outputs come alone, in their order, each in its own form', async (server) => {
    const { model } = jsonModel(server);
    const [output] = model.outputs;
    const body = jsonRequest(model, { outputs: [{ name: output!.name, parameters: { binary_data: true } }] });
    const { outputs } = inferred(await server.post(at(model), body));
    expectEqual(outputs.map(({ name }) => name), [output!.name]); // prettier-ignore
    expectThat(outputs[0]!.parameters?.binary_data_size !== undefined, outputs);
  }),
  rest('infer', 'an inference header of 0 makes the body the one input', async (server) => {
    const model = server.models.find(({ inputs }) => inputs.length === 1 && inputs[0]!.datatype !== 'BYTES');
    if (!model) throw new SkippedCheck('no model has one input');
    const headers = { 'inference-header-content-length': '0', 'content-type': 'application/octet-stream' };
    inferred(await server.post(at(model), rawZeros(model.inputs[0]!), headers));
  }),
  rest('infer', 'gzip and deflate are taken, and gzip is given', async (server) => {
    const model = someModel(server);
    const { body, headers } = binaryRequest(model);
    for (const [encoding, bytes] of [
      ['gzip', gzipSync(body)],
      ['deflate', deflateSync(body)],
    ] as const) {
      inferred(await server.post(at(model), bytes, { ...headers, 'content-encoding': encoding }));
    }
    const answer = await server.post(at(model), body, { ...headers, 'accept-encoding': 'gzip' });
    expectEqual(answer.headers.get('content-encoding'), 'gzip', 'Content-Encoding');
    if (answer.bytes[0] === 0x1f) gunzipSync(answer.bytes); // where fetch leaves that to us
  }),
  rest('infer', '64-bit integers keep their digits', async (server) => {
    const values = [2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n];
    const model = await identity(server, 'INT64', values);
    const inputs = [{ name: model.inputs[0]!.name, datatype: 'INT64', shape: [3], data: values }];
    const { bytes } = await server.post(at(model), bigints({ inputs }));
    for (const value of values) expectThat(bytes.includes(String(value)), `${value} is not in ${bytes.toString()}`);
  }),
  rest('infer', 'texts beyond ASCII come back', async (server) => {
    const values = ['', 'ä€😀', ' "quoted" '];
    const model = await identity(server, 'BYTES', values);
    const inputs = [{ name: model.inputs[0]!.name, datatype: 'BYTES', shape: [3], data: values }];
    expectEqual(inferred(await server.post(at(model), { inputs })).outputs[0]!.data, values);
  }),
  rest('infer', 'NaN and the infinities come back as JSON', async (server) => {
    const model = await identity(server, 'FP32', [1]);
    const body = `{"inputs":[{"name":"${model.inputs[0]!.name}","datatype":"FP32","shape":[3],"data":[NaN,Infinity,-Infinity]}]}`;
    const { status, bytes } = await server.post(at(model), body);
    expectThat(status === 200 && /NaN.*Infinity.*-Infinity/.test(bytes.toString()), bytes.toString());
  }),
  refuses('a body that is not JSON', [400], () => '{'),
  refuses('a body that is no object', [400], () => '[]'),
  refuses('no inputs', [400], () => ({ inputs: [] })),
  refuses('an unknown input', [400], (body) => first(body, { name: 'no-such-input' })),
  refuses('an input twice', [400], ({ inputs }) => ({ inputs: [...inputs, inputs[0]] })),
  refuses('an unknown datatype', [400], (body) => first(body, { datatype: 'FLOAT' })),
  refuses('a negative size', [400, 500], (body) => first(body, { shape: [-1] })),
  refuses('a size that is no integer', [400, 500], (body) => first(body, { shape: [1.5] })),
  refuses('sizes whose product overflows', [400], (body) => first(body, { shape: [2 ** 52, 2 ** 52, 2 ** 52] })),
  refuses('too much data', [400, 500], (body) => first(body, { data: [...body.inputs[0]!.data, 0, 0] })),
  refuses('data and a binary size at once', [400], (body) => first(body, { parameters: { binary_data_size: 4 } })),
  refuses('no data', [400], (body) => first(body, { data: undefined })),
  refuses('an unknown output', [400], (body) => ({ ...body, outputs: [{ name: 'no-such-output' }] })),
  refuses('an output twice', [400], (body, { outputs: [output] }) => ({
    ...body,
    outputs: [{ name: output!.name }, { name: output!.name }],
  })),
  refuses('data nested without end', [400], (body) =>
    JSON.stringify(first(body, { data: 'DEEP' })).replace('"DEEP"', '['.repeat(200) + ']'.repeat(200)),
  ),
  rest(
    'errors',
    'an unknown model is 404 or 400, in words that begin with "Request for unknown model"',
    async (server) =>
      refusedAnswer(await server.post(at({ name: nobody }), { inputs: [] }), [404, 400], /unknown model|inputs/),
  ),
  binaryHeader('that is no number', () => 'abc'),
  binaryHeader('that is negative', () => '-1'),
  binaryHeader('beyond the body', (length) => String(length + 1)),
  binaryHeader('of 12 digits', () => '999999999999'),
  rest('errors', 'bytes that are left over', async (server) => {
    const model = someModel(server);
    const { body, headers } = binaryRequest(model);
    refusedAnswer(await server.post(at(model), Buffer.concat([body, Buffer.alloc(3)]), headers), [400]);
  }),
  rest('errors', 'an unknown encoding of the body, and gzip that is none', async (server) => {
    const { model, body } = jsonModel(server);
    refusedAnswer(await server.post(at(model), body, { 'content-encoding': 'br' }), [501, 415, 400]);
    refusedAnswer(await server.post(at(model), body, { 'content-encoding': 'gzip' }), [400]);
  }),
];
