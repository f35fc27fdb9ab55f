import { SkippedCheck, expectEqual, expectThat, refusedAnswer } from './check.js';
import type { Check } from './check.js';
import { nobody, someModel } from './grpc-checks.js';
import type { Answer, Server } from './server.js';

const rest = (area: string, promise: string, run: Check['run']): Check => ({ door: 'REST', area, promise, run });
const path = (name: string, suffix = '') => `/v2/models/${encodeURIComponent(name)}${suffix}`;

function granted({ status, json }: Answer): Record<string, unknown> {
  expectThat(status === 200, `${status} ${JSON.stringify(json)}`);
  return (json ?? {}) as Record<string, unknown>;
}

const get = async (server: Server, at: string) => granted(await server.rest(at));
const names = (list: unknown) => (list as { name: string }[]).map(({ name }) => name);

/** All of the REST door but what infers. */
export const restChecks: readonly Check[] = [
  rest('health', 'live and ready are 200', async (server) => {
    await get(server, '/v2/health/live');
    await get(server, '/v2/health/ready');
  }),
  rest('health', 'a model that is ready is 200', async (server) => {
    await get(server, path(someModel(server).name, '/ready'));
  }),
  rest('health', 'an unknown model is not 200 ready', async (server) => {
    const { status } = await server.rest(path(nobody, '/ready'));
    expectThat(status !== 200, String(status));
  }),
  rest('metadata', 'the server has a name, a version and extensions', async (server) => {
    const { name, version, extensions } = await get(server, '/v2');
    expectThat(typeof name === 'string' && typeof version === 'string' && Array.isArray(extensions), { name, version });
  }),
  rest('metadata', 'models have their tensors, by version, too', async (server) => {
    for (const { name, inputs, outputs } of server.models) {
      const found = await get(server, path(name));
      expectEqual(names(found['inputs']).sort(), inputs.map((input) => input.name).sort());
      expectEqual(names(found['outputs']).sort(), outputs.map((output) => output.name).sort());
      const [version] = found['versions'] as string[];
      if (version !== undefined) expectEqual((await get(server, path(name, `/versions/${version}`)))['name'], name);
    }
  }),
  rest('metadata', 'an unknown model is 404 or 400', async (server) =>
    refusedAnswer(await server.rest(path(nobody)), [404, 400], /unknown model/),
  ),
  rest('metadata', 'a name is percent-decoded', async (server) => {
    const { name } = someModel(server);
    const everyByte = [...Buffer.from(name)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
    expectEqual((await get(server, `/v2/models/${everyByte}`))['name'], name);
  }),
  rest('configuration', 'config is a ModelConfig in snake case', async (server) => {
    const found = await get(server, path(someModel(server).name, '/config'));
    expectThat(typeof found['max_batch_size'] === 'number' && Array.isArray(found['input']), found);
  }),
  rest('statistics', 'stats have counts as numbers, of one model and of all', async (server) => {
    for (const at of ['/v2/models/stats', path(someModel(server).name, '/stats')]) {
      const [first] = (await get(server, at))['model_stats'] as Record<string, unknown>[];
      expectThat(typeof first?.['inference_count'] === 'number', first);
      expectThat(Object.keys(first['inference_stats'] as object).length >= 6, first);
    }
  }),
  rest('repository', 'the index takes no body and is a list of names and states', async (server) => {
    const { status, json } = await server.post('/v2/repository/index');
    expectEqual(status, 200, 'the code');
    for (const model of json as object[]) expectThat('name' in model, model);
  }),
  rest('repository', 'ready of the index must be a boolean', async (server) =>
    refusedAnswer(await server.post('/v2/repository/index', { ready: 'yes' }), [400]),
  ),
  rest('repository', 'loading an unknown model fails with "failed to load"', async (server) =>
    refusedAnswer(
      await server.post(`/v2/repository/models/${nobody}/load`),
      [500, 404, 400, 503],
      /failed to load|explicit model load/,
    ),
  ),
  rest('shared memory', 'status is an empty list and unregistering all succeeds', async (server) => {
    for (const kind of ['systemsharedmemory', 'cudasharedmemory']) {
      expectEqual((await server.rest(`/v2/${kind}/status`)).json, []);
      granted(await server.post(`/v2/${kind}/unregister`));
    }
  }),
  rest('shared memory', 'a region that is not there is registered by no one', async (server) =>
    refusedAnswer(
      await server.post('/v2/systemsharedmemory/region/r/register', { key: '/no-such-key', byte_size: 64 }),
      [501, 500, 400],
    ),
  ),
  rest('settings', 'trace settings are an object, and a list of levels', async (server) => {
    expectThat(Array.isArray((await get(server, '/v2/trace/setting'))['trace_level']), 'no trace_level');
  }),
  rest('settings', 'log settings are an object, and are taken as they are', async (server) => {
    const found = await get(server, '/v2/logging');
    expectThat(typeof found['log_info'] === 'boolean', found);
    expectEqual(granted(await server.post('/v2/logging', { log_info: found['log_info'] })), found);
  }),
  rest('errors', 'an unknown path is 404, a wrong verb 405', async (server) => {
    refusedAnswer(await server.rest('/v2/no/such/path'), [404]);
    refusedAnswer(await server.rest(path(someModel(server).name, '/infer')), [405]);
  }),
  rest('V1', 'a model that is ready is 200 with its versions', async (server) => {
    const found = await server.rest(`/v1/models/${encodeURIComponent(someModel(server).name)}`);
    if (found.status === 404) throw new SkippedCheck('the server has no V1 door');
    expectThat('model_version_status' in granted(found) || 'ready' in granted(found), found.json);
  }),
];
