import { buildLayers, inferenceModel, presetLayers } from '@modelmill/autodiff';
import type { LayerSpec } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';
import { writeOnnx } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Contest } from '../alternate.js';
import { perSecond } from './load.js';
import { callStraight, callThroughGateway, serveModel } from './stage.js';
import type { Stage } from './stage.js';

const callers = 64;

interface Heavy {
  readonly words: string;
  readonly layers: readonly LayerSpec[];
  readonly shape: readonly number[];
  /** Of a round: about two seconds'. */
  readonly rows: number;
}

const resnet = (size: number) =>
  presetLayers({ kind: 'resnet', depth: 18, width: 64 }, { featureShape: [3, size, size], outputs: 10 });

const networks: Readonly<Record<string, Heavy>> = {
  'mlp-8x1024': {
    words: 'MLP 8x1024',
    layers: [...Array.from({ length: 8 }, () => ({ kind: 'dense', units: 1024, activation: 'relu' }) as const)],
    shape: [1024],
    rows: 12_800,
  },
  'resnet-18': { words: 'ResNet-18, images of 32x32', layers: resnet(32), shape: [3, 32, 32], rows: 1280 },
  'resnet-18-64': { words: 'ResNet-18, images of 64x64', layers: resnet(64), shape: [3, 64, 64], rows: 384 },
};

/** 64 callers of one row each against ONNX Runtime running batches of 64 rows, on the same cores and without a network. */
export async function batchedAnswers(stage: Stage): Promise<Contest[]> {
  const contests: Contest[] = [];
  for (const [name, { words, layers, shape, rows }] of Object.entries(networks)) {
    const built = buildLayers(layers, {
      featureShape: shape,
      random: (stream, count) => counterRandom(1n, stream).uniform(0, count),
      name,
    });
    const model = writeOnnx(inferenceModel(built.forward, new Map(), { softmax: false }));
    await serveModel(stage, name, model);
    const count = shape.reduce((product, size) => product * size, 1);
    const row = {
      model: name,
      shape: [1, ...shape],
      data: Float32Array.from({ length: count }, (_, i) => (i % 17) / 17),
    };
    const raw = await batchSpeed(model, row.data, shape, rows);
    for (const [way, call] of [
      ['straight to inference', callStraight(stage, row)],
      ['through the gateway', callThroughGateway(stage, row)],
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
