import { once } from 'node:events';
import { DiagLogLevel, context, diag, metrics, propagation, trace } from '@opentelemetry/api';
import type { Histogram, Meter, Tracer } from '@opentelemetry/api';
import { pino } from 'pino';
import type { Logger } from 'pino';
import type { BaseConfig } from './read-config.js';

/** What a process tells about itself: JSON log lines on stdout, spans and metrics. */
export interface Telemetry extends AsyncDisposable {
  /** `log.info({ port }, 'serving')` writes `{"level":"info",…,"port":…,"event":"serving"}`. */
  readonly log: Logger;
  readonly tracer: Tracer;
  readonly meter: Meter;
  /** Seconds per call, by method and code. */
  readonly calls: Histogram;
  /** Every metric in Prometheus' text format. */
  metricsText(): Promise<string>;
}

/** Spans and metrics leave the process only when a collector is configured; the trace context always travels. */
export async function startTelemetry(
  service: string,
  config: Pick<BaseConfig, 'MILL_LOG_LEVEL' | 'MILL_REPLICA' | 'OTEL_EXPORTER_OTLP_ENDPOINT'>,
): Promise<Telemetry> {
  // half a second that the processes of a job, which have no telemetry, need not wait for
  const { BatchSpanProcessor, PrometheusExporter, PrometheusSerializer, exporters, startNodeSdk } =
    await import('./telemetry-sdk.js');
  const endpoint = config.OTEL_EXPORTER_OTLP_ENDPOINT.replace(/\/$/, '');
  const output = logOutput();
  const log = pino(
    {
      level: config.MILL_LOG_LEVEL,
      base: { service, replica: config.MILL_REPLICA },
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    output.out,
  );
  const prometheus = new PrometheusExporter({ preventServerStart: true });
  const collector = endpoint === '' ? undefined : exporters(endpoint);
  const sdk = startNodeSdk({
    resourceAttributes: { 'service.name': service, 'service.instance.id': config.MILL_REPLICA },
    resourceDetectors: [],
    spanProcessors: collector ? [new BatchSpanProcessor({ exporter: collector.spans })] : [],
    metricReaders: [prometheus, ...(collector ? [collector.metrics] : [])],
    logRecordProcessors: [],
    instrumentations: [],
  });
  diag.setLogger(asDiagLogger(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const serializer = new PrometheusSerializer('', false, undefined, true, true);
  const meter = metrics.getMeter('modelmill');
  return {
    log,
    tracer: trace.getTracer('modelmill'),
    meter,
    calls: meter.createHistogram('mill_call_duration_seconds', {
      description: 'Seconds per call, by method and status code',
      advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30] },
    }),
    async metricsText() {
      const { resourceMetrics } = await prometheus.collect();
      return serializer.serialize(resourceMetrics);
    },
    async [Symbol.asyncDispose]() {
      // a collector that has gone away must not hold up the end
      await sdk.shutdown().catch((error: unknown) => log.warn({ error: String(error) }, 'telemetry not flushed'));
      // the next one in this process, as tests have, starts from nothing
      for (const api of [trace, metrics, propagation, context, diag]) api.disable();
      await output.end();
    },
  };
}

const mostFlushMs = 1_000;

/** JSON lines on stdout; nobody may be reading there any more. */
function logOutput() {
  const out = pino.destination({ fd: 1, sync: false });
  /** What is left at the exit is tried again and again there, for ever where nobody reads. */
  const giveUp = () => void (out.flushSync = () => {});
  out.on('error', giveUp);
  return {
    out,
    /** Waits until all of it is written, or nobody has read for a second. */
    async end(): Promise<void> {
      const ended = once(out, 'drain', { signal: AbortSignal.timeout(mostFlushMs) });
      out.write(''); // so that there is something to be done with
      await ended.catch(giveUp);
    },
  };
}

/** OpenTelemetry's own troubles are log lines like any other. */
const asDiagLogger = (log: Logger) => ({
  error: (trouble: string) => log.error({ trouble }, 'telemetry'),
  warn: (trouble: string) => log.warn({ trouble }, 'telemetry'),
  info: (trouble: string) => log.info({ trouble }, 'telemetry'),
  debug: (trouble: string) => log.debug({ trouble }, 'telemetry'),
  verbose: (trouble: string) => log.trace({ trouble }, 'telemetry'),
});
