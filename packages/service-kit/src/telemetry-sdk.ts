import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';

export { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
export { startNodeSdk } from '@opentelemetry/sdk-node';
export { BatchSpanProcessor } from '@opentelemetry/sdk-trace';

const exportMs = 10_000;

/** What sends spans and metrics to a collector. */
export const exporters = (endpoint: string) => ({
  spans: new OTLPTraceExporter({ url: `${endpoint}/v1/traces`, timeoutMillis: exportMs }),
  metrics: new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url: `${endpoint}/v1/metrics`, timeoutMillis: exportMs }),
    exportIntervalMillis: exportMs,
  }),
});
