import type { inference } from '@modelmill/contracts';
import type { CallContext, Telemetry } from '@modelmill/service-kit';
import { bidi, unary } from '@modelmill/service-kit';
import * as errors from './errors.js';
import { modelConfigOf } from './model-config.js';
import type { Repository } from './repository.js';
import type { ServedVersion } from './served-version.js';
import { changeLogSettings, checkTraceSettings, logSettings, traceSettings } from './settings.js';
import { sharedMemoryHandlers } from './shared-memory.js';
import { statisticsMessage } from './statistics.js';
import { answerInOrder } from './stream-infer.js';

export interface InferenceDeps {
  readonly repository: Repository;
  readonly serverName: string;
  readonly serverVersion: string;
  readonly runners: number;
  /** Whether spans leave the process. */
  readonly isTracing: boolean;
  /** Whether what the registry wants is loaded, as far as it can be. */
  ready(): boolean;
}

const extensions = [
  'classification',
  'model_repository',
  'model_configuration',
  'schedule_policy',
  'binary_tensor_data',
  'statistics',
  'trace',
  'logging',
];

export function inferenceHandlers(deps: InferenceDeps, telemetry: Telemetry): inference.GRPCInferenceServiceServer {
  const { repository } = deps;

  async function infer(request: inference.ModelInferRequest, signal: AbortSignal, call: CallContext) {
    const deadline = Number(call.getDeadline());
    return repository.find(request.modelName, request.modelVersion).infer(request, { signal, deadline });
  }

  return {
    serverLive: unary(async () => ({ live: true }), telemetry),
    serverReady: unary(async () => ({ ready: deps.ready() }), telemetry),
    modelReady: unary(
      async ({ name, version }: inference.ModelReadyRequest) => ({
        ready: repository.findLoaded(name, version) !== undefined,
      }),
      telemetry,
    ),
    serverMetadata: unary(async () => ({ name: deps.serverName, version: deps.serverVersion, extensions }), telemetry),
    modelMetadata: unary(async ({ name, version }: inference.ModelMetadataRequest) => {
      const served = repository.find(name, version);
      return metadataOf(served, repository.loaded(name));
    }, telemetry),
    modelInfer: unary(infer, telemetry),
    modelStreamInfer: bidi(
      (requests: AsyncIterable<inference.ModelInferRequest>, signal: AbortSignal, call: CallContext) =>
        answerInOrder(
          requests,
          (request) => infer(request, signal, call),
          call.metadata.get('triton_grpc_error')[0] === 'true',
        ),
      telemetry,
    ),
    modelConfig: unary(
      async ({ name, version }: inference.ModelConfigRequest) => ({
        config: modelConfigOf(repository.find(name, version), deps.runners),
      }),
      telemetry,
    ),
    modelStatistics: unary(async ({ name, version }: inference.ModelStatisticsRequest) => {
      const versions = version === '' ? loadedOrUnknown(repository, name) : [repository.find(name, version)];
      return {
        modelStats: versions.map((served) =>
          statisticsMessage(served.model, served.version, served.statistics.snapshot(), memoryUsageOf(served)),
        ),
      };
    }, telemetry),
    repositoryIndex: unary(async ({ repositoryName, ready }: inference.RepositoryIndexRequest) => {
      if (repositoryName !== '') throw errors.namedRepository();
      return { models: repository.index().filter(({ state }) => !ready || state === 'READY') };
    }, telemetry),
    repositoryModelLoad: unary(async (request: inference.RepositoryModelLoadRequest) => {
      const model = modelNamed(request);
      const [parameter] = Object.keys(request.parameters);
      if (parameter !== undefined) throw errors.loadParameter(model, parameter);
      await repository.load(model);
      return {};
    }, telemetry),
    repositoryModelUnload: unary(async (request: inference.RepositoryModelUnloadRequest) => {
      await repository.unload(modelNamed(request));
      return {};
    }, telemetry),
    ...sharedMemoryHandlers(telemetry),
    traceSetting: unary(async ({ settings, modelName }: inference.TraceSettingRequest) => {
      if (modelName !== '' && !repository.knows(modelName)) throw errors.traceOfUnknown(modelName);
      checkTraceSettings(deps.isTracing, settings);
      return traceSettings(deps.isTracing);
    }, telemetry),
    logSettings: unary(async ({ settings }: inference.LogSettingsRequest) => {
      changeLogSettings(telemetry.log, settings);
      return logSettings(telemetry.log);
    }, telemetry),
  };
}

/** KServe's copy of the protocol has the model's name where the others have the repository's. */
function modelNamed({ repositoryName, modelName }: { repositoryName: string; modelName: string }): string {
  if (modelName !== '' && repositoryName !== '') throw errors.namedRepository();
  const model = modelName === '' ? repositoryName : modelName;
  if (model === '') throw errors.emptyModelName();
  return model;
}

function loadedOrUnknown(repository: Repository, model: string): ServedVersion[] {
  if (model === '') return repository.loaded();
  const loaded = repository.loaded(model);
  return loaded.length > 0 ? loaded : [repository.find(model, '')];
}

function memoryUsageOf({ memoryBytes, loaded }: ServedVersion): inference.MemoryUsage[] {
  const type = loaded.provider === 'cpu' ? 'CPU' : 'GPU';
  return memoryBytes > 0 ? [{ type, id: 0n, byteSize: BigInt(memoryBytes) }] : [];
}

function metadataOf(served: ServedVersion, loaded: readonly ServedVersion[]): inference.ModelMetadataResponse {
  const tensor = ({ name, datatype, shape }: ServedVersion['loaded']['inputs'][number]) => ({
    name,
    datatype,
    shape: shape.map(BigInt),
  });
  return {
    name: served.model,
    versions: loaded.map(({ version }) => version),
    platform: 'onnxruntime_onnx',
    inputs: served.loaded.inputs.map(tensor),
    outputs: served.loaded.outputs.map(tensor),
    properties: {},
  };
}
