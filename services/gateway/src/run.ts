import { descriptorSet } from '@modelmill/contracts';
import { ConfigError, aborted, injectContext, serve, startTelemetry } from '@modelmill/service-kit';
import { openStore } from '@modelmill/store';
import { createCalls, translateStoreErrors } from './calls.js';
import type { Config } from './config.js';
import { contentRoutes } from './content-routes.js';
import { datasetsCalls } from './datasets-calls.js';
import { eventsCalls } from './events-calls.js';
import { homeRoutes } from './home-routes.js';
import { createHostCheck } from './host-check.js';
import { createKeyCheck, isLoopback, withKey } from './keys.js';
import { millRoutes } from './mill-routes.js';
import { createOip } from './oip.js';
import { registryCalls } from './registry-calls.js';
import { followReplicas } from './replica-set.js';
import { openRestDoor } from './rest-door.js';
import { servingCalls } from './serving-calls.js';
import { v1Routes } from './v1-routes.js';
import { v2Routes } from './v2-routes.js';

const service = 'gateway';
const version = '0.1.0';
const uploadIdleMs = 30_000;
const replicasReturnMs = 15_000; // after NATS was away each replica has to say that it is there

export interface Ports {
  readonly grpcPort: number;
  readonly restPort: number;
}

/** The one public door, until the signal; then it takes no new calls and lets the running ones finish. */
export async function run(config: Config, signal: AbortSignal, ready: (ports: Ports) => void = () => {}) {
  keysOrLoopback(config);
  await using telemetry = await startTelemetry(service, config);
  const { log } = telemetry;
  let natsAwayAt = -Infinity;
  await using store = await openStore({
    natsUrl: config.MILL_NATS_URL,
    service,
    replica: config.MILL_REPLICA,
    artifactsDir: config.MILL_ARTIFACTS_DIR,
    waitMs: config.MILL_NATS_WAIT_MS,
    signal,
    headers: () => injectContext({}),
    onStatus(status) {
      if (status.type === 'disconnect' || status.type === 'reconnect') natsAwayAt = performance.now();
      log.info(status, 'nats');
    },
  });

  const follow = (of: string) =>
    followReplicas(
      of,
      store.replicas,
      () => performance.now() - natsAwayAt < replicasReturnMs,
      (error) => log.warn({ of, error: String(error) }, 'replicas not listed'),
    );
  using inference = await follow('inference');
  using trainer = await follow('trainer');
  using optimizer = await follow('optimizer');

  const limits = { maxBytes: config.MILL_MAX_UPLOAD_BYTES, idleMs: uploadIdleMs };
  const registry = registryCalls({
    store,
    limits,
    artifactsDir: config.MILL_ARTIFACTS_DIR,
    mostFileBytes: config.MILL_MODEL_FILE_BYTES,
  });
  const datasets = datasetsCalls({ store, limits });
  const stopping = new AbortController();
  const events = eventsCalls(store, stopping.signal);
  const serving = servingCalls(store.registry, inference);
  const calls = createCalls({ registry, serving, datasets, events, inference, trainer, optimizer });
  const checkKey = createKeyCheck(config.MILL_API_KEYS);

  await using grpc = await serve(
    {
      listen: config.MILL_GRPC_LISTEN,
      drainMs: config.MILL_DRAIN_MS,
      descriptorSet,
      maxMessageBytes: config.MILL_MAX_MESSAGE_BYTES,
      maxConcurrentStreams: config.MILL_MAX_STREAMS,
      admit: withKey(checkKey),
      telemetry,
    },
    calls.registrations(telemetry),
  );

  const oip = createOip(calls);
  const modelNames = () =>
    [...new Set(inference.all().flatMap(({ replica }) => replica.models.map(({ model }) => model)))].sort();
  const routes = [
    ...v2Routes({
      oip,
      modelNames,
      maxJsonBytes: config.MILL_MAX_JSON_BYTES,
      maxMessageBytes: config.MILL_MAX_MESSAGE_BYTES,
    }),
    ...v1Routes({
      oip,
      registry: store.registry,
      modelNames,
      serves: (model, version) => inference.serves({ model, version }),
      maxJsonBytes: config.MILL_MAX_JSON_BYTES,
    }),
    ...contentRoutes({ registry, datasets, events, idleMs: uploadIdleMs }),
    ...millRoutes(calls, stopping.signal),
  ];
  const { metricsText } = telemetry;
  await using rest = await openRestDoor(
    {
      listen: config.MILL_REST_LISTEN,
      drainMs: config.MILL_DRAIN_MS,
      telemetry,
      translate: translateStoreErrors,
      checkKey,
      checkHost: createHostCheck(config.MILL_REST_LISTEN, config.MILL_ALLOWED_HOSTS),
      idleMs: uploadIdleMs,
    },
    [...homeRoutes({ version, grpcPort: grpc.port, metricsText }, routes), ...routes],
  );

  const ports = { grpcPort: grpc.port, restPort: rest.port };
  log.info(ports, 'serving');
  ready(ports);
  await aborted(signal);
  grpc.setServing(false);
  stopping.abort(); // streams without an end of their own
}

function keysOrLoopback({ MILL_API_KEYS: keys, MILL_GRPC_LISTEN, MILL_REST_LISTEN }: Config): void {
  const beyond = Object.entries({ MILL_GRPC_LISTEN, MILL_REST_LISTEN }).filter(([, listen]) => !isLoopback(listen));
  if (keys.length > 0 || beyond.length === 0) return;
  const names = beyond.map(([name, listen]) => `${name} is '${listen}'`).join(' and ');
  throw new ConfigError(`MILL_API_KEYS is not set, and ${names}: without keys only loopback is served`);
}
