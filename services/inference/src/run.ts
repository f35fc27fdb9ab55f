import { availableParallelism } from 'node:os';
import { descriptorSet, serving as servingContract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import { chosenProviders, deviceEnvironment, startRunnerPool } from '@modelmill/runtime';
import { aborted, serve, startTelemetry } from '@modelmill/service-kit';
import { openStore } from '@modelmill/store';
import type { ReplicaModel } from '@modelmill/store';
import { createAdmission } from './admission.js';
import type { Config } from './config.js';
import { followRegistry, latestFirst } from './follow-registry.js';
import { inferenceHandlers } from './handlers.js';
import { inferenceService } from './inference-service.js';
import { serveMetrics } from './metrics-server.js';
import { metricsText } from './metrics.js';
import { publishEvent } from './publish-event.js';
import { createModelMemory } from './model-memory.js';
import { pageVersion } from './paged-version.js';
import { createRepository } from './repository.js';
import type { RepositoryEvent } from './repository.js';
import { createRollBacks } from './roll-back.js';
import { countRunners } from './runner-counts.js';
import { loadVersion } from './served-version.js';
import type { ServedVersion } from './served-version.js';
import { servingHandlers } from './serving-handlers.js';
import { shadowMetricsText } from './shadow-metrics.js';
import { createShadows, wantEveryRunner } from './shadows.js';
import type { Routed } from './trials.js';

const serverVersion = '0.1.0';
const retryMs = 5_000;
const restMs = 250;
const moveMs = 250; // versions may come and go by the dozen
const service = 'inference';

/** Serves what labels point at until the signal; then takes no new calls, answers the running ones and unloads. */
export async function run(config: Config, signal: AbortSignal, ready: (port: number) => void = () => {}) {
  await using telemetry = await startTelemetry(service, config);
  const { log } = telemetry;
  const trouble =
    (event: string, fields: object = {}) =>
    (error: unknown) =>
      log.error({ ...fields, error: String(error) }, event);

  await using store = await openStore({
    natsUrl: config.MILL_NATS_URL,
    service,
    replica: config.MILL_REPLICA,
    artifactsDir: config.MILL_ARTIFACTS_DIR,
    waitMs: config.MILL_NATS_WAIT_MS,
    signal,
    onStatus: (status) => log.info(status, 'nats'),
  });

  const runners = config.MILL_RUNNERS || Math.min(4, availableParallelism());
  const counted = countRunners((event, fields) => log.info(fields, event));
  const providers = config.MILL_PROVIDERS.length === 0 ? undefined : config.MILL_PROVIDERS;
  await using pool = await startRunnerPool({
    runners,
    threads: config.MILL_RUNNER_THREADS || Math.max(1, Math.floor(availableParallelism() / runners)),
    requestTimeoutMs: config.MILL_REQUEST_TIMEOUT_MS,
    memoryLimitBytes: config.MILL_RUNNER_MEMORY_BYTES,
    onRunner: counted.onRunner,
    ...(providers === undefined ? {} : { providers }),
    environment: deviceEnvironment(config),
  });

  const limits = {
    maxBatch: config.MILL_MAX_BATCH,
    maxQueue: config.MILL_MAX_QUEUE,
    maxQueueBytes: config.MILL_MAX_QUEUE_BYTES,
    maxWaitMs: config.MILL_MAX_WAIT_MS,
    runners,
  };
  let announce = () => {};
  const announceSoon = atMostEvery(moveMs, () => announce());
  const onEvent = (event: RepositoryEvent) => {
    const { model, version } = event.kind === 'ready' ? event.served : event;
    const more = event.kind === 'failed' ? { reason: event.reason } : {};
    log.info(
      { model, version, ...(event.kind === 'ready' ? howReady(event.served) : {}), ...more },
      `model ${event.kind}`,
    );
    announce();
    publishEvent(store.events, config.MILL_REPLICA, event).catch(trouble('event not published', { model, version }));
  };
  let serving = false;
  const memory = createModelMemory({
    budgetBytes: config.MILL_MODEL_MEMORY_BYTES || Infinity,
    loadsAtOnce: runners,
    restMs,
  });
  const load = (found: registry.Version, onLost: (reason: string) => void, aside: () => boolean) => {
    const { model, version, artifactSha256, externalData } = found;
    return pageVersion({
      found,
      memory,
      limits,
      provider: chosenProviders(providers)[0] ?? 'cpu',
      mayDisplace: serving && !aside(), // at start there is a first come for everyone
      aside,
      async load(kept, whenLost) {
        const path = await store.artifacts.modelPath(artifactSha256, externalData?.sha256);
        return loadVersion(pool, { model, version, path }, limits, whenLost, kept);
      },
      onLost,
      onMove({ kind, ...more }) {
        log.info({ model, version, ...more, memoryBytes: memory.usedBytes() }, `model ${kind}`);
        announceSoon();
      },
    });
  };
  const rollBacks = createRollBacks(store.registry, (event, fields) => log.warn(fields, event), trouble);
  using shadows = createShadows({
    atOnce: Math.max(1, runners - 1),
    find: (model, version) => repository.ready(model, version),
    isBusy: () => wantEveryRunner(repository.loaded(), runners),
  });
  const through = (routed: Routed) => shadows.through(routed, rollBacks.through(routed));
  await using repository = createRepository({ load, onEvent, through, retryMs });

  await using admission = createAdmission({
    store,
    limits: { timeoutMs: config.MILL_PROBATION_MS, memoryLimitBytes: config.MILL_RUNNER_MEMORY_BYTES },
    onTrouble: ({ model, version }, error) => trouble('admission put off', { model, version })(error),
  });

  const changedAt = await store.registry.changedAt(); // what does not fit at start is what has not moved for longest
  await using following = await followRegistry(
    store.registry,
    (models) => {
      repository.follow(latestFirst(models, changedAt));
      rollBacks.follow(models);
      shadows.follow(models);
      admission.consider(models);
      announce();
    },
    trouble('registry not listed'),
  );

  await using metrics = await serveMetrics(
    config.MILL_METRICS_LISTEN,
    () =>
      metricsText(repository.loaded(), counted.counts(), memory) +
      rollBacks.metricsText() +
      shadowMetricsText(shadows.all()),
  );

  const deps = {
    repository,
    serverName: config.MILL_SERVER_NAME,
    serverVersion,
    runners,
    isTracing: config.OTEL_EXPORTER_OTLP_ENDPOINT !== '',
    ready: () => serving,
  };
  await using server = await serve(
    {
      listen: config.MILL_LISTEN,
      drainMs: config.MILL_DRAIN_MS,
      maxMessageBytes: config.MILL_MAX_MESSAGE_BYTES,
      maxConcurrentStreams: config.MILL_MAX_STREAMS,
      serving: false,
      descriptorSet,
      telemetry,
    },
    [
      [inferenceService, inferenceHandlers(deps, telemetry)],
      [servingContract.ServingService, servingHandlers(shadows, telemetry)],
    ],
  );

  const held = () => repository.loaded().map((served) => heldBy(served, repository.labelsOf(served)));
  await using announced = await store.replicas.announce({
    service,
    address: config.MILL_ADVERTISE || `127.0.0.1:${server.port}`,
    models: held(),
  });
  announce = () => void announced.update({ models: held() }).catch(trouble('replica not announced'));
  announce();

  const again = setInterval(following.again, retryMs); // versions that failed to load, admissions put off
  try {
    await Promise.race([repository.settled(), aborted(signal)]);
    serving = true;
    server.setServing(true);
    log.info({ port: server.port, metricsPort: metrics.port }, 'serving');
    ready(server.port);
    await aborted(signal);
  } finally {
    serving = false;
    clearInterval(again);
    announce = () => {};
  }
}

const howReady = ({ memoryBytes, loaded }: ServedVersion) =>
  memoryBytes > 0 ? { provider: loaded.provider } : { cold: true };

const heldBy = ({ model, version, memoryBytes }: ServedVersion, labels: readonly string[]): ReplicaModel => ({
  model,
  version,
  labels,
  ...(memoryBytes > 0 ? {} : { cold: true }),
});

function atMostEvery(ms: number, act: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      act();
    }, ms).unref();
  };
}
