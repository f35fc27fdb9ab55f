import { toJson } from '@modelmill/client';
import type { JsonValue, MessageName, MessageOf } from '@modelmill/client';
import { compressed } from './compress.js';
import * as errors from './errors.js';
import { jsonLength, readInferRequest, writeInferAnswer } from './infer-json.js';
import { isObject, plain, readJsonObject, textOf } from './json-node.js';
import type { Oip } from './oip.js';
import { readRawRequest } from './raw-infer.js';
import { json, jsonAnswer } from './rest-request.js';
import type { RestHandler, RestRequest, RestRoute } from './rest-request.js';
import { v2SettingsRoutes } from './v2-settings-routes.js';
import { schemas } from './v2-schemas.js';

export interface V2Deps {
  readonly oip: Oip;
  /** Names of the models that some replica serves. */
  modelNames(): string[];
  readonly maxJsonBytes: number;
  readonly maxMessageBytes: number;
}

const specBytes = 2 ** 20;
const tag = 'inference v2';

/** The Open Inference Protocol v2 over REST, with Triton's extensions. */
export function v2Routes({ oip, modelNames, maxJsonBytes, maxMessageBytes }: V2Deps): RestRoute[] {
  const live: RestHandler = async () => jsonAnswer({ live: true });
  const ready: RestHandler = async ({ caller }) => {
    const { ready } = await oip.serverReady({}, caller);
    return { ...jsonAnswer({ ready }), status: ready ? 200 : 503 };
  };

  const modelReady: RestHandler = async ({ params, caller }) => {
    const { model: name, version } = modelIn(params);
    const { ready } = await oip.modelReady({ name, version }, caller);
    if (ready) return jsonAnswer({ name, ready });
    await oip.modelMetadata({ name, version }, caller); // says what is unknown
    throw errors.versionNotReady();
  };

  const metadata: RestHandler = async ({ params, caller }) => {
    const { model: name, version } = modelIn(params);
    const found = await oip.modelMetadata({ name, version }, caller);
    const tensors = (of: typeof found.inputs) => of.map((tensor) => ({ ...tensor, shape: tensor.shape.map(Number) }));
    const { versions, platform } = found;
    return jsonAnswer({ name, versions, platform, inputs: tensors(found.inputs), outputs: tensors(found.outputs) });
  };

  const config: RestHandler = async ({ params, caller }) => {
    const { model: name, version } = modelIn(params);
    const { config } = await oip.modelConfig({ name, version }, caller);
    return jsonAnswer(exact('inference.ModelConfig', config!));
  };

  const statistics: RestHandler = async ({ params, caller }) => {
    const { model: name, version } = modelIn(params);
    return jsonAnswer(exact('inference.ModelStatisticsResponse', await oip.modelStatistics({ name, version }, caller)));
  };

  const infer: RestHandler = async (request) => {
    const { model, version } = modelIn(request.params);
    const { message, wish, room } = await readInfer(request, model, version);
    return compressed(writeInferAnswer(await oip.modelInfer(message, request.caller, room), wish), request.headers);
  };

  async function readInfer(request: RestRequest, model: string, version: string) {
    const header = request.headers['inference-header-content-length'];
    const body = await request.body(header === undefined ? maxJsonBytes : maxMessageBytes);
    const length = jsonLength(header, body.length);
    if (length === 0) {
      return readRawRequest(await oip.modelMetadata({ name: model, version }, request.caller), version, body);
    }
    if (length !== undefined && length > maxJsonBytes) throw errors.bodyTooLarge(maxJsonBytes);
    return readInferRequest(model, version, body, length);
  }

  const index: RestHandler = async (request) => {
    if (request.params['repository'] !== undefined) throw errors.namedRepository();
    const body = await optionalObject(request);
    const ready = body.get('ready') ?? false;
    if (typeof ready !== 'boolean') throw errors.badReady();
    const { models } = await oip.repositoryIndex({ repositoryName: '', ready }, request.caller);
    return jsonAnswer(models);
  };

  const load: RestHandler = async (request) => {
    if (request.params['repository'] !== undefined) throw errors.namedRepository();
    const { model: modelName } = modelIn(request.params);
    await oip.repositoryModelLoad(await repositoryRequest(request, modelName), request.caller);
    return jsonAnswer({ name: modelName, load: true });
  };

  const unload: RestHandler = async (request) => {
    if (request.params['repository'] !== undefined) throw errors.namedRepository();
    const { model: modelName } = modelIn(request.params);
    const body = await repositoryRequest(request, modelName);
    const { unload_dependents: _, ...parameters } = body.parameters; // there are none here
    await oip.repositoryModelUnload({ ...body, parameters }, request.caller);
    return jsonAnswer({ name: modelName, unload: true });
  };

  const ofModel = (suffix: string, route: Omit<RestRoute, 'path'>): RestRoute[] => [
    { ...route, path: `/v2/models/{model}${suffix}` },
    { ...route, path: `/v2/models/{model}/versions/{version}${suffix}` },
  ];

  /** The one repository, and any that is named, of which there is none. */
  const inRepository = (suffix: string, handle: RestHandler, doc: RestRoute['doc']): RestRoute[] =>
    ['/v2/repository', '/v2/repository/{repository}'].map((path) => ({
      verb: 'POST',
      path: `${path}${suffix}`,
      handle,
      doc,
    }));

  return [
    {
      verb: 'GET',
      path: '/v2/health/live',
      handle: live,
      open: true,
      doc: doc('Whether the server is up', schemas.live),
    },
    {
      verb: 'GET',
      path: '/v2/health/ready',
      handle: ready,
      open: true,
      doc: doc('Whether some replica can infer; 503 where none can', schemas.ready),
    },
    {
      verb: 'GET',
      path: '/v2',
      handle: async ({ caller }) => jsonAnswer(await oip.serverMetadata({}, caller)),
      doc: doc('Name, version and extensions of the server', schemas.serverMetadata),
    },
    {
      verb: 'GET',
      path: '/v2/models',
      handle: async () => jsonAnswer({ models: modelNames() }),
      doc: doc('The models that are served', schemas.models),
    },
    {
      verb: 'GET',
      path: '/v2/models/stats',
      handle: statistics,
      doc: doc('Counts and durations of every version', schemas.any),
    },
    ...ofModel('', { verb: 'GET', handle: metadata, doc: doc('Inputs and outputs of a model', schemas.modelMetadata) }),
    ...ofModel('/ready', {
      verb: 'GET',
      handle: modelReady,
      doc: doc('Whether a model can answer; 503 where it can not', schemas.modelReady),
    }),
    ...ofModel('/infer', {
      verb: 'POST',
      handle: infer,
      doc: {
        ...doc('Runs one request through a model', schemas.inferAnswer),
        request: json(schemas.inferRequest),
        headers: {
          'Inference-Header-Content-Length':
            'Bytes of JSON before the binary tensors; absent: all is JSON; 0: all is the one input',
        },
      },
    }),
    ...ofModel('/config', {
      verb: 'GET',
      handle: config,
      doc: doc('The serving configuration, as Triton describes it', schemas.any),
    }),
    ...ofModel('/stats', { verb: 'GET', handle: statistics, doc: doc('Counts and durations', schemas.any) }),
    ...inRepository('/index', index, {
      ...doc('The models of the registry and whether they are loaded', schemas.index),
      request: json(schemas.any),
    }),
    ...inRepository('/models/{model}/load', load, {
      ...doc('Loads the admitted versions of a model', schemas.any),
      request: json(schemas.any),
    }),
    ...inRepository('/models/{model}/unload', unload, {
      ...doc('Unloads a model', schemas.any),
      request: json(schemas.any),
    }),
    ...v2SettingsRoutes(oip),
  ];
}

const doc = (summary: string, schema: object) => ({ tag, summary, answer: json(schema) });

const modelIn = ({ model = '', version = '' }: RestRequest['params']) => ({ model, version });

/** 64-bit counts as JSON numbers with all their digits, where protobuf's own JSON has strings. */
function exact<N extends MessageName>(name: N, message: MessageOf<N>): string {
  const write = (value: JsonValue): string => {
    if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
    if (typeof value === 'object' && value !== null) {
      return `{${Object.entries(value)
        .map(([key, member]) => `${JSON.stringify(key)}:${textual.has(key) ? JSON.stringify(member) : write(member)}`)
        .join(',')}}`;
    }
    return typeof value === 'string' && /^-?(0|[1-9]\d{0,19})$/.test(value) ? value : JSON.stringify(value);
  };
  return write(toJson(name, message, { defaults: true }));
}

// strings that may look like numbers
const textual = new Set(['name', 'version', 'string_value', 'key', 'default_model_filename', 'label_filename']);

async function optionalObject(request: RestRequest) {
  const body = await request.body(specBytes);
  return body.length === 0 ? new Map<string, never>() : readJsonObject(textOf(body));
}

async function repositoryRequest(request: RestRequest, modelName: string) {
  const body = await optionalObject(request);
  const given = body.get('parameters');
  if (given !== undefined && !isObject(given)) throw errors.wrongField('parameters', 'no object', 'an object');
  const parameters = Object.fromEntries(
    [...(given ?? [])].map(([name, node]) => [name, repositoryParameter(name, plain(node))]),
  );
  return { repositoryName: '', modelName, parameters };
}

function repositoryParameter(name: string, value: unknown) {
  if (typeof value === 'boolean') return { parameterChoice: { $case: 'boolParam' as const, boolParam: value } };
  if (typeof value === 'string') return { parameterChoice: { $case: 'stringParam' as const, stringParam: value } };
  if (Number.isSafeInteger(value)) {
    return { parameterChoice: { $case: 'int64Param' as const, int64Param: BigInt(value as number) } };
  }
  throw errors.wrongField(name, typeof value, 'a boolean, an integer or a string');
}
