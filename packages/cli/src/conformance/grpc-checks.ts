import { inference } from '@modelmill/client';
import { SkippedCheck, expectEqual, expectThat, refusedCall } from './check.js';
import type { Check } from './check.js';
import type { Server } from './server.js';
import { datatypes } from './served-model.js';

const methods = inference.GRPCInferenceServiceService;
export const nobody = 'no-such-model';
const grpc = (area: string, promise: string, run: Check['run']): Check => ({ door: 'gRPC', area, promise, run });
/** The first model; skipped where there is none. */
export function someModel({ models }: Server) {
  const [model] = models;
  if (model === undefined) throw new SkippedCheck('no model is ready');
  return model;
}
const unknown = ['NOT_FOUND', 'INVALID_ARGUMENT'];

/** All calls but those that infer. */
export const grpcChecks: readonly Check[] = [
  grpc('health', 'ServerLive is true', async (server) =>
    expectEqual(await server.call(methods.serverLive, {}), { live: true }),
  ),
  grpc('health', 'ServerReady is true', async (server) =>
    expectEqual(await server.call(methods.serverReady, {}), { ready: true }),
  ),
  grpc('health', 'ModelReady is true for a model in the index', async (server) => {
    const { name } = someModel(server);
    expectEqual(await server.call(methods.modelReady, { name, version: '' }), { ready: true });
  }),
  grpc('health', 'ModelReady of an unknown model is false or refused', async (server) => {
    const ready = await server.call(methods.modelReady, { name: nobody, version: '' }).catch(() => ({ ready: false }));
    expectEqual(ready.ready, false);
  }),
  grpc('metadata', 'ServerMetadata has a name and a version', async (server) => {
    const found = await server.call(methods.serverMetadata, {});
    expectThat(found.name !== '' && found.version !== '', found);
  }),
  grpc('metadata', 'ModelMetadata has versions, a platform and known datatypes', async (server) => {
    for (const { name } of server.models) {
      const found = await server.call(methods.modelMetadata, { name, version: '' });
      expectEqual(found.name, name, 'name');
      expectThat(found.versions.length > 0 && found.platform !== '', found);
      for (const { datatype } of [...found.inputs, ...found.outputs]) expectThat(datatype in datatypes, datatype);
    }
  }),
  grpc('metadata', 'ModelMetadata of a version names the same tensors', async (server) => {
    const { name, inputs } = someModel(server);
    const { versions } = await server.call(methods.modelMetadata, { name, version: '' });
    const found = await server.call(methods.modelMetadata, { name, version: versions[0]! });
    expectEqual(found.inputs.map((input) => input.name), inputs.map((input) => input.name)); // prettier-ignore
  }),
  grpc('metadata', 'ModelMetadata of an unknown model is refused', (server) =>
    refusedCall(server.call(methods.modelMetadata, { name: nobody, version: '' }), unknown, /unknown model/),
  ),
  grpc('configuration', 'ModelConfig agrees with the metadata', async (server) => {
    for (const { name, inputs } of server.models) {
      const { config } = await server.call(methods.modelConfig, { name, version: '' });
      expectEqual(config?.name, name, 'name');
      expectEqual(config!.input.map((input) => input.name).sort(), inputs.map((input) => input.name).sort());
      for (const input of config!.input) {
        const want = inputs.find((one) => one.name === input.name)!.shape;
        expectEqual(input.dims, config!.maxBatchSize > 0 ? want.slice(1) : want, `dims of '${input.name}'`);
      }
    }
  }),
  grpc('configuration', 'ModelConfig of an unknown model is refused', (server) =>
    refusedCall(server.call(methods.modelConfig, { name: nobody, version: '' }), unknown),
  ),
  grpc('statistics', 'ModelStatistics has one entry with all durations for a model', async (server) => {
    const { name } = someModel(server);
    const { modelStats } = await server.call(methods.modelStatistics, { name, version: '' });
    expectThat(modelStats.length >= 1, modelStats);
    expectThat(modelStats.every((one) => one.name === name && one.version !== '' && one.inferenceStats), modelStats); // prettier-ignore
  }),
  grpc('statistics', 'ModelStatistics without a name has every ready model', async (server) => {
    const { modelStats } = await server.call(methods.modelStatistics, { name: '', version: '' });
    const names = modelStats.map(({ name }) => name);
    expectThat(server.models.every(({ name }) => names.includes(name)), names); // prettier-ignore
  }),
  grpc('repository', 'RepositoryIndex with ready lists nothing but what is READY', async (server) => {
    const { models } = await server.call(methods.repositoryIndex, { repositoryName: '', ready: true });
    expectThat(models.every(({ state }) => state === 'READY'), models); // prettier-ignore
  }),
  grpc('repository', 'RepositoryModelLoad of an unknown model fails with "failed to load"', (server) =>
    refusedCall(
      server.call(methods.repositoryModelLoad, { repositoryName: '', modelName: nobody, parameters: {} }),
      ['INTERNAL', 'NOT_FOUND', 'INVALID_ARGUMENT', 'UNAVAILABLE'],
      /failed to load|explicit model load/,
    ),
  ),
  grpc('shared memory', 'status is empty and unregistering all succeeds', async (server) => {
    const system = await server.call(methods.systemSharedMemoryStatus, { name: '' });
    const cuda = await server.call(methods.cudaSharedMemoryStatus, { name: '' });
    expectEqual([system.regions, cuda.regions], [{}, {}]);
    await server.call(methods.systemSharedMemoryUnregister, { name: '' });
    await server.call(methods.cudaSharedMemoryUnregister, { name: '' });
  }),
  grpc('shared memory', 'a region that is not there is registered by no one', (server) =>
    refusedCall(
      server.call(methods.systemSharedMemoryRegister, { name: 'r', key: '/no-such-key', offset: 0n, byteSize: 64n }),
      ['UNIMPLEMENTED', 'INTERNAL', 'INVALID_ARGUMENT'],
    ),
  ),
  grpc('settings', 'TraceSetting tells its settings', async (server) => {
    const { settings } = await server.call(methods.traceSetting, { settings: {}, modelName: '' });
    expectThat(['trace_level', 'trace_rate', 'trace_count'].every((name) => name in settings), settings); // prettier-ignore
  }),
  grpc('settings', 'LogSettings tells its settings, and takes what they are', async (server) => {
    const { settings } = await server.call(methods.logSettings, { settings: {} });
    expectThat(['log_info', 'log_error', 'log_verbose_level'].every((name) => name in settings), settings); // prettier-ignore
    const { log_info } = settings;
    expectEqual((await server.call(methods.logSettings, { settings: { log_info: log_info! } })).settings, settings);
  }),
];
