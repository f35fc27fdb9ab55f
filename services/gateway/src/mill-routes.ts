import type { DescMethod } from '@bufbuild/protobuf';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { SpecError, fromJson, toJson } from '@modelmill/client';
import type { MessageName, MessageOf } from '@modelmill/client';
import type { Calls } from './calls.js';
import { describedMethod, schemaRef, summaryOf } from './described.js';
import * as errors from './errors.js';
import type { Caller } from './forward.js';
import { plain, readJsonObject, textOf } from './json-node.js';
import { json, jsonAnswer } from './rest-request.js';
import type { RestRequest, RestRoute, Verb } from './rest-request.js';
import { eventStream } from './server-sent-events.js';

/** One rpc of modelmill.v1 over REST. */
interface Transcoding {
  readonly verb: Verb;
  /** Parameters are the request's fields of the same name. */
  readonly path: string;
  /** Where a parameter goes instead: `label.name` is a field within a field. */
  readonly fields?: Readonly<Record<string, string>>;
  readonly rpc: string;
  /** Which field the body is; `*`: the whole request. Without a body the query's parameters are fields. */
  readonly body?: string;
}

/** Every rpc of modelmill.v1 that takes one request; uploads, downloads and events have routes of their own. */
export const transcodings: readonly Transcoding[] = [
  { verb: 'GET', path: '/mill/v1/models', rpc: 'ModelRegistry/ListModels' },
  { verb: 'GET', path: '/mill/v1/models/{model}', rpc: 'ModelRegistry/GetModel' },
  { verb: 'DELETE', path: '/mill/v1/models/{model}', rpc: 'ModelRegistry/DeleteModel' },
  { verb: 'GET', path: '/mill/v1/models/{model}/versions/{version}', rpc: 'ModelRegistry/GetVersion' },
  { verb: 'DELETE', path: '/mill/v1/models/{model}/versions/{version}', rpc: 'ModelRegistry/DeleteVersion' },
  { verb: 'GET', path: '/mill/v1/models/{model}/versions/{version}/report', rpc: 'ModelRegistry/GetReport' },
  { verb: 'GET', path: '/mill/v1/models/{model}/versions/{version}/analysis', rpc: 'Optimizer/AnalyzeModel' },
  {
    verb: 'PUT',
    path: '/mill/v1/models/{model}/labels/{label}',
    rpc: 'ModelRegistry/SetLabel',
    body: 'label',
    fields: { label: 'label.name' },
  },
  { verb: 'DELETE', path: '/mill/v1/models/{model}/labels/{label}', rpc: 'ModelRegistry/DeleteLabel' },
  {
    verb: 'POST',
    path: '/mill/v1/models/{model}/labels/{label}/promote',
    rpc: 'ModelRegistry/PromoteVersion',
    body: 'rule',
  },
  {
    verb: 'GET',
    path: '/mill/v1/models/{model}/labels/{label}/shadow',
    rpc: 'Serving/GetShadowComparison',
  },
  { verb: 'GET', path: '/mill/v1/datasets', rpc: 'Datasets/ListDatasets' },
  { verb: 'GET', path: '/mill/v1/datasets/{dataset}', rpc: 'Datasets/GetDataset' },
  { verb: 'DELETE', path: '/mill/v1/datasets/{dataset}', rpc: 'Datasets/DeleteDataset' },
  { verb: 'GET', path: '/mill/v1/datasets/{dataset}/preview', rpc: 'Datasets/PreviewDataset' },
  { verb: 'POST', path: '/mill/v1/training-jobs', rpc: 'Trainer/SubmitTraining', body: '*' },
  { verb: 'POST', path: '/mill/v1/training-jobs/validate', rpc: 'Trainer/ValidateTraining', body: '*' },
  { verb: 'GET', path: '/mill/v1/training-jobs', rpc: 'Trainer/ListTraining' },
  { verb: 'GET', path: '/mill/v1/training-jobs/{job_id}', rpc: 'Trainer/GetTraining' },
  { verb: 'POST', path: '/mill/v1/training-jobs/{job_id}/cancel', rpc: 'Trainer/CancelTraining', body: '*' },
  { verb: 'GET', path: '/mill/v1/training-jobs/{job_id}/watch', rpc: 'Trainer/WatchTraining' },
  { verb: 'GET', path: '/mill/v1/training-jobs/{job_id}/history', rpc: 'Trainer/GetTrainingHistory' },
  { verb: 'POST', path: '/mill/v1/optimization-jobs', rpc: 'Optimizer/SubmitOptimization', body: '*' },
  { verb: 'GET', path: '/mill/v1/optimization-jobs', rpc: 'Optimizer/ListOptimization' },
  { verb: 'GET', path: '/mill/v1/optimization-jobs/{job_id}', rpc: 'Optimizer/GetOptimization' },
  { verb: 'POST', path: '/mill/v1/optimization-jobs/{job_id}/cancel', rpc: 'Optimizer/CancelOptimization', body: '*' },
  { verb: 'GET', path: '/mill/v1/optimization-jobs/{job_id}/watch', rpc: 'Optimizer/WatchOptimization' },
];

const specBytes = 2 ** 20;
type Wire = ServiceDefinition[string];

/** modelmill.v1 as proto3 JSON, field names as in the contracts. */
export function millRoutes(calls: Calls, stopping: AbortSignal): RestRoute[] {
  return transcodings.map((transcoding) => {
    const method = describedMethod(`modelmill.v1.${transcoding.rpc}`);
    return method.methodKind === 'server_streaming'
      ? streamRoute(transcoding, method, calls, stopping)
      : unaryRoute(transcoding, method, calls);
  });
}

function unaryRoute(transcoding: Transcoding, method: DescMethod, calls: Calls): RestRoute {
  const { verb, path, body } = transcoding;
  const call = calls.unary.get(pathOf(method));
  const wire = calls.methods.get(pathOf(method));
  if (!call || !wire) throw new Error(`no call answers ${pathOf(method)}`);
  return {
    verb,
    path,
    doc: {
      ...docOf(transcoding, method),
      ...(body === undefined ? {} : { request: json(bodySchema(method, body)) }),
      answer: json(schemaRef(method.output)),
    },
    handle: async (request) => {
      const answer = await call(await requestBytes(transcoding, method, wire, request), request.caller);
      return jsonAnswer(asJson(method, wire.responseDeserialize(answer)));
    },
  };
}

/** Watches: each answer is a server-sent event. */
function streamRoute(transcoding: Transcoding, method: DescMethod, calls: Calls, stopping: AbortSignal): RestRoute {
  const { verb, path } = transcoding;
  const call = calls.streams.get(pathOf(method));
  const wire = calls.methods.get(pathOf(method));
  if (!call || !wire) throw new Error(`no call answers ${pathOf(method)}`);
  return {
    verb,
    path,
    doc: { ...docOf(transcoding, method), answer: { type: 'text/event-stream', schema: schemaRef(method.output) } },
    handle: async (request) => {
      const bytes = await requestBytes(transcoding, method, wire, request);
      const signal = AbortSignal.any([request.caller.signal, stopping]);
      const caller: Caller = { ...request.caller, signal, deadline: Infinity };
      return eventStream(asEvents(call(bytes, caller), (answer) => asJson(method, wire.responseDeserialize(answer))));
    },
  };
}

async function* asEvents(answers: AsyncIterable<Buffer>, show: (answer: Buffer) => unknown) {
  for await (const answer of answers) yield { data: JSON.stringify(show(answer)) };
}

function docOf({ path, body }: Transcoding, method: DescMethod) {
  const inPath = new Set([...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name!));
  const query =
    body === undefined
      ? method.input.fields.filter(({ name }) => !inPath.has(name)).map((field) => [field.name, summaryOf(field)])
      : [];
  return {
    tag: method.parent.name,
    summary: summaryOf(method),
    query: Object.fromEntries(query) as Record<string, string>,
  };
}

function bodySchema(method: DescMethod, body: string): object {
  if (body === '*') return schemaRef(method.input);
  const field = method.input.fields.find(({ name }) => name === body);
  if (field?.fieldKind !== 'message') throw new Error(`${method.input.typeName} has no message field '${body}'`);
  return schemaRef(field.message);
}

async function requestBytes(
  { body, fields: places = {} }: Transcoding,
  method: DescMethod,
  { requestSerialize }: Wire,
  request: RestRequest,
): Promise<Buffer> {
  const fields: Record<string, unknown> = body === undefined ? queryFields(method, request) : {};
  if (body !== undefined) {
    const bytes = await request.body(specBytes);
    const given = bytes.length === 0 ? {} : (plain(readJsonObject(textOf(bytes))) as Record<string, unknown>);
    if (body === '*') Object.assign(fields, given);
    else fields[body] = given;
  }
  for (const [name, value] of Object.entries(request.params))
    setField(fields, (places[name] ?? name).split('.'), value);
  try {
    return requestSerialize(fromJson(method.input.typeName as MessageName, fields));
  } catch (error) {
    throw error instanceof SpecError ? errors.badJson(error.message) : error;
  }
}

function queryFields(method: DescMethod, { query, params }: RestRequest): Record<string, unknown> {
  const known = method.input.fields.map(({ name }) => name).filter((name) => !(name in params));
  return Object.fromEntries(
    [...query].map(([name, value]) => {
      if (!known.includes(name)) throw errors.unknownQuery(name, known);
      return [name, value];
    }),
  );
}

function setField(fields: Record<string, unknown>, [name, ...rest]: string[], value: string): void {
  if (rest.length === 0) fields[name!] = value;
  else setField((fields[name!] ??= {}) as Record<string, unknown>, rest, value);
}

const asJson = ({ output }: DescMethod, message: MessageOf<MessageName>) =>
  toJson(output.typeName as MessageName, message, { defaults: true });

const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;
