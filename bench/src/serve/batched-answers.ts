import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Contest } from '../alternate.js';
import { heavyModel, heavyNetworks } from './heavy-networks.js';
import { perSecond } from './load.js';
import { inferStraight, inferThroughGateway, serveModel } from './stage.js';
import type { Stage } from './stage.js';

const callers = 64;
const networks = ['mlp-8x1024', 'resnet-18', 'resnet-18-64', 'minilm-l12'];

/** 64 callers of one row each, by our own client, against ONNX Runtime running batches of 64 rows, on the same cores and without a network. */
export async function batchedAnswers(stage: Stage): Promise<Contest[]> {
  const contests: Contest[] = [];
  for (const name of networks) {
    const { words, shape, rows } = heavyNetworks[name]!;
    const { model, row } = heavyModel(name);
    await serveModel(stage, name, model);
    const raw = await batchSpeed(model, row.data, shape, rows);
    for (const [way, call] of [
      ['straight to inference', inferStraight(stage, row)],
      ['through the gateway', inferThroughGateway(stage, row)],
    ] as const) {
      contests.push({
        case: `${words}, ${callers} callers of one row, ${way}`,
        unit: 'rows/s',
        better: 'higher',
        against: `ONNX Runtime running batches of ${callers} in one process`,
        goal: 0.95,
        ours: () => perSecond(call, callers, rows),
        theirs: raw,
      });
    }
  }
  return contests;
}

async function batchSpeed(model: Uint8Array, row: Float32Array, shape: readonly number[], rows: number) {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const batch = new Float32Array(callers * row.length);
  for (let i = 0; i < callers; i++) batch.set(row, i * row.length);
  const input = new Tensor('float32', batch, [callers, ...shape]);
  return async () => {
    const started = performance.now();
    for (let done = 0; done < rows; done += callers) await session.run({ input });
    return rows / ((performance.now() - started) / 1000);
  };
}
