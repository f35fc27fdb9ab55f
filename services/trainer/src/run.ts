import { descriptorSet, trainer } from '@modelmill/contracts';
import { deviceEnvironment } from '@modelmill/runtime';
import { aborted, injectContext, serve, startTelemetry, withContextOf } from '@modelmill/service-kit';
import { openStore } from '@modelmill/store';
import type { JobClaim } from '@modelmill/store';
import type { Config } from './config.js';
import { trainerHandlers } from './handlers.js';
import { createProviderCheck } from './provider-check.js';
import { trainJob } from './train-job.js';

const service = 'trainer';
/** Tries of a job whose worker dies or stumbles. */
const maxDeliver = 5;

/** Takes training jobs until the signal; then hands back those it works on. */
export async function run(config: Config, signal: AbortSignal, ready: (port: number) => void = () => {}) {
  await using telemetry = await startTelemetry(service, config);
  const { log, tracer } = telemetry;

  await using store = await openStore({
    natsUrl: config.MILL_NATS_URL,
    service,
    replica: config.MILL_REPLICA,
    artifactsDir: config.MILL_ARTIFACTS_DIR,
    waitMs: config.MILL_NATS_WAIT_MS,
    signal,
    headers: () => injectContext({}),
    onStatus: (status) => log.info(status, 'nats'),
  });

  const environment = deviceEnvironment(config);
  const providers = createProviderCheck(environment);
  const limits = {
    environment,
    providers,
    threads: config.MILL_TRAINING_THREADS,
    checkpointMs: config.MILL_CHECKPOINT_MS,
  };
  const work = (claim: JobClaim) =>
    withContextOf({ ...claim.headers }, () =>
      tracer.startActiveSpan('train', { attributes: { 'mill.job': claim.job.id } }, async (span) => {
        const about = { job: claim.job.id, attempt: claim.attempt };
        log.info(about, 'training started');
        try {
          const result = await trainJob({ store, ...limits }, claim);
          log.info({ ...about, version: result.version }, 'training succeeded');
          return result;
        } catch (error) {
          const why = claim.signal.aborted ? claim.signal.reason : error;
          log.warn({ ...about, error: String(why) }, 'training ended');
          throw error;
        } finally {
          span.end();
        }
      }),
    );
  await using _working = store.jobs.work(
    'train',
    { concurrency: config.MILL_TRAINING_JOBS, ackWaitMs: config.MILL_JOB_ACK_MS, maxDeliver, signal },
    work,
  );

  await using server = await serve(
    {
      listen: config.MILL_LISTEN,
      drainMs: config.MILL_DRAIN_MS,
      maxMessageBytes: config.MILL_MAX_MESSAGE_BYTES,
      maxConcurrentStreams: config.MILL_MAX_STREAMS,
      descriptorSet,
      telemetry,
    },
    [[trainer.TrainerService, trainerHandlers({ store, providers, closing: signal }, telemetry)]],
  );
  await using _announced = await store.replicas.announce({
    service,
    address: config.MILL_ADVERTISE || `127.0.0.1:${server.port}`,
  });

  log.info({ port: server.port }, 'serving');
  ready(server.port);
  await aborted(signal);
}
