import { inferenceModel } from '@modelmill/autodiff';
import { writeOnnx } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Contest } from '../alternate.js';
import { build } from '../networks.js';
import { medianMs, perSecond, warm } from './load.js';
import { openSide } from './open-side.js';
import { callEcho, callStraight, callThroughGateway, inferStraight, serveModel } from './stage.js';
import type { Stage } from './stage.js';

const inFlight = 64;
const calls = 3000;
const sequential = 400;
const pixels = () => Float32Array.from({ length: 64 }, (_, i) => i % 17);

/** Answers of a mesh against a bare grpc-js echo of the same bytes, and against ONNX Runtime alone in this process. */
export async function smallAnswers(stage: Stage): Promise<Contest[]> {
  const echo = stage.opened.use(await openSide('echo-main.js'));
  const contests: Contest[] = [];
  for (const name of ['mlp-64-128-10', 'digits'] as const) {
    const model = writeOnnx(inferenceModel(build(name).forward, new Map(), { softmax: true }));
    await serveModel(stage, name, model);
    const row = { model: name, shape: [1, 64], data: pixels() };
    const straight = callStraight(stage, row);
    const through = callThroughGateway(stage, row);
    const typed = inferStraight(stage, row);
    const bare = callEcho(stage, echo.address, row);
    await warm(bare);
    const answers = { unit: 'answers/s', better: 'higher', against: 'bare grpc-js echo of the same bytes' } as const;
    contests.push(
      {
        ...answers,
        case: `${name}, batch 1, ${inFlight} in flight, straight to inference`,
        goal: 0.75,
        ours: () => perSecond(straight, inFlight, calls),
        theirs: () => perSecond(bare, inFlight, calls),
      },
      {
        ...answers,
        case: `${name}, batch 1, ${inFlight} in flight, through the gateway`,
        goal: 0.45,
        ours: () => perSecond(through, inFlight, calls),
        theirs: () => perSecond(bare, inFlight, calls),
      },
      {
        case: `${name}, batch 1, ${inFlight} in flight, straight to inference, by our client`,
        unit: 'answers/s',
        better: 'higher',
        against: 'a grpc-js client of the same service',
        goal: null,
        ours: () => perSecond(typed, inFlight, calls),
        theirs: () => perSecond(straight, inFlight, calls),
      },
      {
        case: `${name}, batch 1, one at a time, through the gateway, median`,
        unit: 'ms',
        better: 'lower',
        against: 'bare grpc-js echo of the same bytes',
        goal: 0.4,
        ours: () => medianMs(through, sequential),
        theirs: () => medianMs(bare, sequential),
      },
      {
        case: `${name}, batch 1, ${inFlight} in flight, through the gateway`,
        unit: 'answers/s',
        better: 'higher',
        against: 'ONNX Runtime in one process, without a network',
        goal: null,
        ours: () => perSecond(through, inFlight, calls),
        theirs: await rawSpeed(model),
      },
    );
  }
  return contests;
}

async function rawSpeed(model: Uint8Array): Promise<() => Promise<number>> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const input = new Tensor('float32', pixels(), [1, 64]);
  return async () => {
    const started = performance.now();
    for (let i = 0; i < calls; i++) await session.run({ input });
    return calls / ((performance.now() - started) / 1000);
  };
}
