import { createModelMemory } from './model-memory.js';
import { metricsText } from './metrics.js';
import type { ServedVersion } from './served-version.js';
import { createStatistics, statisticsMessage } from './statistics.js';

/** Three requests of 1, 2 and 3 rows; the last two share an execution. One more is refused. */
function used() {
  const statistics = createStatistics();
  statistics.executed(1, 0.5, 2, 0.25);
  statistics.succeeded(1, 1, 0.5, 2, 0.25);
  statistics.answered(4);
  statistics.executed(5, 1, 3, 0.5);
  for (const rows of [2, 3]) {
    statistics.succeeded(rows, 2, 1, 3, 0.5);
    statistics.answered(20);
  }
  statistics.failed('REJECTED', 0.5);
  return statistics;
}

describe('statistics', () => {
  it('count inferences by row, executions by batch, and durations by request', () => {
    const message = statisticsMessage('m', '3', used().snapshot());
    expect(message).toMatchObject({ name: 'm', version: '3', inferenceCount: 6n, executionCount: 2n });
    expect(message.inferenceStats).toMatchObject({
      success: { count: 3n, ns: 44_000_000n },
      fail: { count: 1n, ns: 500_000n },
      queue: { count: 3n, ns: 5_000_000n },
      computeInfer: { count: 3n, ns: 8_000_000n },
      cacheHit: { count: 0n, ns: 0n },
    });
    expect(message.batchStats.map(({ batchSize, computeInfer }) => [batchSize, computeInfer])).toEqual([
      [1n, { count: 1n, ns: 2_000_000n }],
      [5n, { count: 1n, ns: 3_000_000n }],
    ]);
  });
});

describe('the metrics', () => {
  it("have Triton's names and a histogram that adds up", () => {
    const served = { model: 'm', version: '3', statistics: used(), waiting: () => 7 } as Partial<ServedVersion>;
    const memory = createModelMemory({ budgetBytes: 1000, loadsAtOnce: 1, restMs: 0 });
    memory.loadedCold(1500);
    const text = metricsText([served as ServedVersion], { running: 2, started: 3, ended: 1 }, memory);
    const lines = text.split('\n');
    for (const line of [
      'nv_inference_request_success{model="m",version="3"} 3',
      'nv_inference_request_failure{model="m",version="3",reason="REJECTED"} 1',
      'nv_inference_count{model="m",version="3"} 6',
      'nv_inference_exec_count{model="m",version="3"} 2',
      'nv_inference_pending_request_count{model="m",version="3"} 7',
      'nv_inference_queue_duration_us{model="m",version="3"} 5000',
      'mill_inference_request_seconds_bucket{model="m",version="3",le="0.005"} 1',
      'mill_inference_request_seconds_bucket{model="m",version="3",le="0.025"} 3',
      'mill_inference_request_seconds_bucket{model="m",version="3",le="+Inf"} 3',
      'mill_inference_request_seconds_count{model="m",version="3"} 3',
      'mill_runner_ends_total 1',
      'mill_inference_models_cold 1',
      'mill_model_memory_bytes 0',
      'mill_model_memory_budget_bytes 1000',
      'mill_model_cold_load_seconds_sum 1.5',
      'mill_model_cold_load_seconds_count 1',
    ]) {
      expect(lines).toContain(line);
    }
    const families = lines.filter((line) => line.startsWith('# TYPE')).map((line) => line.split(' ')[2]);
    expect(new Set(families).size).toBe(families.length);
  });
});
