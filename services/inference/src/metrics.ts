import { freemem, totalmem } from 'node:os';
import { metricFamily } from './metric-family.js';
import type { Sample } from './metric-family.js';
import type { ModelMemory } from './model-memory.js';
import type { ServedVersion } from './served-version.js';
import { latencyBounds } from './statistics.js';
import type { StatisticsSnapshot } from './statistics.js';

/** What the runners did since the service began. */
export interface RunnerCounts {
  readonly running: number;
  readonly started: number;
  readonly ended: number;
}

const microseconds = (duration: { readonly ms: number }) => Math.round(duration.ms * 1000);

const perVersion: readonly (readonly [
  name: string,
  kind: 'counter' | 'gauge',
  help: string,
  value: (of: StatisticsSnapshot, served: ServedVersion) => number,
])[] = [
  ['nv_inference_request_success', 'counter', 'Requests answered', (of) => of.success.count],
  ['nv_inference_count', 'counter', 'Inferences: a batch of n counts n', (of) => of.inferences],
  ['nv_inference_exec_count', 'counter', 'Executions: a batch counts 1', (of) => of.executions],
  ['nv_inference_pending_request_count', 'gauge', 'Requests that wait', (_, served) => served.waiting()],
  ['nv_inference_request_duration_us', 'counter', 'Summed time of requests', (of) => microseconds(of.success)],
  ['nv_inference_queue_duration_us', 'counter', 'Summed time of waiting', (of) => microseconds(of.queue)],
  ['nv_inference_compute_input_duration_us', 'counter', 'Summed time of batching', (of) => microseconds(of.input)],
  ['nv_inference_compute_infer_duration_us', 'counter', 'Summed time of execution', (of) => microseconds(of.infer)],
  ['nv_inference_compute_output_duration_us', 'counter', 'Summed time of splitting', (of) => microseconds(of.output)],
];

/** The Prometheus text: Triton's names, then ours. */
export function metricsText(
  served: readonly ServedVersion[],
  runners: RunnerCounts,
  memory: Pick<ModelMemory, 'budgetBytes' | 'usedBytes' | 'counts'>,
): string {
  const snapshots = served.map((of) => ({ of, labels: labels(of), snapshot: of.statistics.snapshot() }));
  const lines: string[] = [];
  const family = (...of: Parameters<typeof metricFamily>) => lines.push(...metricFamily(...of));
  for (const [name, kind, help, value] of perVersion) {
    family(
      name,
      kind,
      help,
      snapshots.map(({ of, labels, snapshot }) => [`{${labels}}`, value(snapshot, of)]),
    );
  }
  family(
    'nv_inference_request_failure',
    'counter',
    'Requests that failed',
    snapshots.flatMap(({ labels, snapshot }) =>
      (['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'] as const).map((reason): Sample => [
        `{${labels},reason="${reason}"}`,
        snapshot.failures.get(reason) ?? 0,
      ]),
    ),
  );
  family('nv_cpu_memory_total_bytes', 'gauge', 'Memory of the machine', [['', totalmem()]]);
  family('nv_cpu_memory_used_bytes', 'gauge', 'Memory in use on the machine', [['', totalmem() - freemem()]]);
  lines.push('# HELP mill_inference_request_seconds Time from arrival to answer');
  lines.push('# TYPE mill_inference_request_seconds histogram');
  for (const { labels, snapshot } of snapshots) lines.push(...histogram(labels, snapshot));
  family(
    'mill_inference_batch_rows',
    'counter',
    'Executions by number of rows',
    snapshots.flatMap(({ labels, snapshot }) =>
      [...snapshot.batches].map(([rows, { infer }]): Sample => [`{${labels},rows="${rows}"}`, infer.count]),
    ),
  );
  const loaded = served.filter(({ memoryBytes }) => memoryBytes > 0).length;
  family('mill_inference_models_loaded', 'gauge', 'Versions loaded', [['', loaded]]);
  family('mill_inference_models_cold', 'gauge', 'Versions whose next request loads them', [
    ['', served.length - loaded],
  ]);
  const { evictions, coldLoads, coldLoadMs } = memory.counts();
  const budget = memory.budgetBytes === Infinity ? '+Inf' : memory.budgetBytes;
  family('mill_model_memory_bytes', 'gauge', 'Memory that loaded versions take', [['', memory.usedBytes()]]);
  family('mill_model_memory_budget_bytes', 'gauge', 'Memory that they may take', [['', budget]]);
  family('mill_model_evictions_total', 'counter', 'Versions unloaded to make room', [['', evictions]]);
  family('mill_model_cold_load_seconds', 'summary', 'Time until a version that was not in memory was loaded', [
    ['_sum', coldLoadMs / 1000],
    ['_count', coldLoads],
  ]);
  family('mill_runners', 'gauge', 'Runner processes that are up', [['', runners.running]]);
  family('mill_runner_starts_total', 'counter', 'Runner processes started', [['', runners.started]]);
  family('mill_runner_ends_total', 'counter', 'Runner processes that ended', [['', runners.ended]]);
  return `${lines.join('\n')}\n`;
}

function histogram(labels: string, { latency, success }: StatisticsSnapshot): string[] {
  let below = 0;
  const buckets = latency.map((count, index) => {
    below += count;
    return `mill_inference_request_seconds_bucket{${labels},le="${latencyBounds[index] ?? '+Inf'}"} ${below}`;
  });
  return [
    ...buckets,
    `mill_inference_request_seconds_sum{${labels}} ${success.ms / 1000}`,
    `mill_inference_request_seconds_count{${labels}} ${success.count}`,
  ];
}

/** Names cannot hold what would need escaping. */
const labels = ({ model, version }: ServedVersion) => `model="${model}",version="${version}"`;
