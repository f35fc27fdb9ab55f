import { descriptorSet, optimizer } from '@modelmill/contracts';
import { aborted, injectContext, serve, startTelemetry, withContextOf } from '@modelmill/service-kit';
import { openStore } from '@modelmill/store';
import type { JobClaim } from '@modelmill/store';
import type { Config } from './config.js';
import { optimizerHandlers } from './handlers.js';
import { optimizeJob } from './optimize-job.js';
import { createAnalyses } from './process/analyze-in-process.js';
import { createTrainers } from './trainers.js';
import { createTurns } from './turns.js';

const service = 'optimizer';
/** Tries of a job whose worker dies or stumbles. */
const maxDeliver = 5;

/** Takes optimization jobs until the signal; then hands back those it works on. */
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

  const trainers = createTrainers(store.replicas);
  const inTurn = createTurns();
  const processes = {
    artifactsDir: config.MILL_ARTIFACTS_DIR,
    mostFileBytes: config.MILL_MODEL_FILE_BYTES,
    memoryBytes: config.MILL_PASS_MEMORY_BYTES,
  };
  const analyses = createAnalyses(processes, inTurn);
  const work = (claim: JobClaim) =>
    withContextOf({ ...claim.headers }, () =>
      tracer.startActiveSpan('optimize', { attributes: { 'mill.job': claim.job.id } }, async (span) => {
        const about = { job: claim.job.id, attempt: claim.attempt };
        log.info(about, 'optimization started');
        try {
          const result = await optimizeJob({ store, trainers, inTurn, ...processes }, claim);
          log.info({ ...about, version: result.version }, 'optimization succeeded');
          return result;
        } catch (error) {
          const why = claim.signal.aborted ? claim.signal.reason : error;
          log.warn({ ...about, error: String(why) }, 'optimization ended');
          throw error;
        } finally {
          span.end();
        }
      }),
    );
  await using _working = store.jobs.work(
    'optimize',
    {
      concurrency: config.MILL_OPTIMIZATION_JOBS,
      ackWaitMs: config.MILL_JOB_ACK_MS,
      maxDeliver,
      signal,
    },
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
    [[optimizer.OptimizerService, optimizerHandlers({ store, trainers, analyses, closing: signal }, telemetry)]],
  );
  await using _announced = await store.replicas.announce({
    service,
    address: config.MILL_ADVERTISE || `127.0.0.1:${server.port}`,
  });

  log.info({ port: server.port }, 'serving');
  ready(server.port);
  await aborted(signal);
}
