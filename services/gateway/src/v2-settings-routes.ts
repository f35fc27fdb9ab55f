import type { inference } from '@modelmill/contracts';
import * as errors from './errors.js';
import { isList, isLiteral, isObject, readJsonObject, show, textOf } from './json-node.js';
import type { JsonNode, JsonObject } from './json-text.js';
import type { Oip } from './oip.js';
import { json, jsonAnswer } from './rest-request.js';
import type { RestHandler, RestRequest, RestRoute } from './rest-request.js';
import { schemas } from './v2-schemas.js';

const bodyBytes = 2 ** 16;
const doc = (summary: string) => ({ tag: 'inference v2', summary, answer: json(schemas.any) });

/** Triton's shared-memory, trace and log settings over REST. */
export const v2SettingsRoutes = (oip: Oip): RestRoute[] => [
  ...sharedMemoryRoutes('systemsharedmemory', {
    status: oip.systemSharedMemoryStatus,
    register: oip.systemSharedMemoryRegister,
    unregister: oip.systemSharedMemoryUnregister,
  }),
  ...sharedMemoryRoutes('cudasharedmemory', {
    status: oip.cudaSharedMemoryStatus,
    register: oip.cudaSharedMemoryRegister,
    unregister: oip.cudaSharedMemoryUnregister,
  }),
  ...traceRoutes(oip),
  ...logRoutes(oip),
];

interface SharedMemory {
  readonly status: Oip['systemSharedMemoryStatus'] | Oip['cudaSharedMemoryStatus'];
  readonly register: Oip['systemSharedMemoryRegister'] | Oip['cudaSharedMemoryRegister'];
  readonly unregister: Oip['systemSharedMemoryUnregister'];
}

function sharedMemoryRoutes(kind: string, calls: SharedMemory): RestRoute[] {
  const status: RestHandler = async ({ params, caller }) => {
    const { regions } = await calls.status({ name: params['region'] ?? '' }, caller);
    return jsonAnswer(Object.values(regions));
  };
  const register: RestHandler = async ({ params, caller }) => {
    const empty = { name: params['region'] ?? '', key: '', offset: 0n, byteSize: 0n, rawHandle: Buffer.alloc(0) };
    return jsonAnswer(await calls.register({ ...empty, deviceId: 0n }, caller)); // refused, whatever it asks for
  };
  const unregister: RestHandler = async ({ params, caller }) =>
    jsonAnswer(await calls.unregister({ name: params['region'] ?? '' }, caller));
  const path = (region: string, suffix: string) => `/v2/${kind}${region}/${suffix}`;
  const one = '/region/{region}';
  return [
    ...['', one].map((region): RestRoute => ({
      verb: 'GET',
      path: path(region, 'status'),
      handle: status,
      doc: doc('The regions of shared memory: none, for tensors travel in messages here'),
    })),
    { verb: 'POST', path: path(one, 'register'), handle: register, doc: doc('501: there is no shared memory') },
    ...['', one].map((region): RestRoute => ({
      verb: 'POST',
      path: path(region, 'unregister'),
      handle: unregister,
      doc: doc('Does nothing, for clients that begin by unregistering all'),
    })),
  ];
}

function traceRoutes({ traceSetting }: Oip): RestRoute[] {
  const handle: RestHandler = async (request) => {
    const { params, caller } = request;
    const settings = await settingsIn(request, (name, node) => ({ value: textsOf(name, node) }));
    const answer = await traceSetting({ settings, modelName: params['model'] ?? '' }, caller);
    const shown = Object.entries(answer.settings).map(([name, { value }]) => [
      name,
      name === 'trace_level' ? value : (value[0] ?? ''),
    ]);
    return jsonAnswer(Object.fromEntries(shown));
  };
  return ['/v2/trace/setting', '/v2/models/{model}/trace/setting'].flatMap((path): RestRoute[] => [
    { verb: 'GET', path, handle, doc: doc('The settings of tracing') },
    { verb: 'POST', path, handle, doc: doc('The same; a change is 501, the service is configured with them') },
  ]);
}

function logRoutes({ logSettings }: Oip): RestRoute[] {
  const handle: RestHandler = async (request) => {
    const { settings } = await logSettings({ settings: await settingsIn(request, logValue) }, request.caller);
    const shown = Object.entries(settings).map(([name, { parameterChoice: choice }]) => [name, logShown(choice)]);
    return jsonAnswer(Object.fromEntries(shown));
  };
  const path = '/v2/logging';
  return [
    { verb: 'GET', path, handle, doc: doc('What the replicas log') },
    { verb: 'POST', path, handle, doc: doc('Changes what every replica logs, until it ends') },
  ];
}

async function settingsIn<T>(request: RestRequest, read: (name: string, node: JsonNode) => T) {
  const body = await request.body(bodyBytes);
  const settings: JsonObject = body.length === 0 ? new Map() : readJsonObject(textOf(body));
  return Object.fromEntries([...settings].map(([name, node]) => [name, read(name, node)]));
}

/** Null clears a setting: no value. Numbers travel as strings. */
function textsOf(name: string, node: JsonNode): string[] {
  if (node === null) return [];
  if (isList(node)) return node.flatMap((member) => textsOf(name, member));
  if (isLiteral(node)) return [node.literal];
  if (typeof node === 'string') return [node];
  throw errors.wrongField(name, isObject(node) ? 'an object' : show(node), 'a string or a list of strings');
}

function logValue(name: string, node: JsonNode): inference.LogSettingsRequest_SettingValue {
  if (typeof node === 'boolean') return { parameterChoice: { $case: 'boolParam', boolParam: node } };
  if (typeof node === 'string') return { parameterChoice: { $case: 'stringParam', stringParam: node } };
  if (isLiteral(node) && /^\d{1,9}$/.test(node.literal)) {
    return { parameterChoice: { $case: 'uint32Param', uint32Param: Number(node.literal) } };
  }
  throw errors.wrongField(name, show(node), 'a boolean, a number from 0 on or a string');
}

function logShown(choice: inference.LogSettingsResponse_SettingValue['parameterChoice']): boolean | number | string {
  if (choice?.$case === 'boolParam') return choice.boolParam;
  return choice?.$case === 'uint32Param' ? choice.uint32Param : (choice?.stringParam ?? '');
}
