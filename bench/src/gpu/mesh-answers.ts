import { elementCount, writeOnnx } from '@modelmill/onnx';
import type { Provider } from '@modelmill/runtime';
import type { Contest } from '../alternate.js';
import { createClosing } from '../closing.js';
import { openMesh } from '../open-mesh.js';
import { perSecond as callsPerSecond, timesOf } from '../serve/load.js';
import type { Call } from '../serve/load.js';
import { callStraight, serveModel } from '../serve/stage.js';
import { noise, shapes } from '../shapes.js';
import { answersOf, inMs, perSecond } from './asked.js';
import type { Asked } from './asked.js';

const callers = 64;

/** The inference service of a mesh on that provider, by one caller and by many, whose rows it batches. */
export function meshAnswers(provider: Provider, { opened, torch, against }: Asked): Contest[] {
  const mesh = opened.use(openGpuMesh(provider));
  return answersOf.flatMap(({ shape, one, rows }) => {
    const words = `${provider}, a mesh: ${shapes[shape].words.split(',')[0]}`;
    const call = mesh.caller(shape);
    const many = async () => callsPerSecond(await call(), callers, rows);
    return [
      {
        ...inMs,
        case: `${words}, one caller, p50`,
        against,
        ours: async () => (await timesOf(await call(), one)).p50,
        theirs: async () => (await torch.answer(shape, 1, one)).p50,
      },
      {
        ...inMs,
        case: `${words}, one caller, p99`,
        against,
        ours: async () => (await timesOf(await call(), one)).p99,
        theirs: async () => (await torch.answer(shape, 1, one)).p99,
      },
      {
        ...perSecond,
        case: `${words}, ${callers} callers of one row`,
        against: `${against}, batches of ${callers}`,
        ours: many,
        theirs: async () => (await torch.answer(shape, callers, rows / callers)).rowsPerSecond,
      },
      {
        ...perSecond,
        case: `${words}, ${callers} callers of one row, against one at a time`,
        against: `${against}, one row at a time`,
        ours: many,
        theirs: async () => (await torch.answer(shape, 1, one)).rowsPerSecond,
      },
    ];
  });
}

/** It starts, and takes each model, when it is first asked. */
function openGpuMesh(provider: Provider) {
  const opened = createClosing();
  const open = async () => {
    const environment = { MILL_PROVIDERS: `${provider},cpu`, MILL_RUNNER_MEMORY_BYTES: String(2 ** 36) };
    const mesh = opened.use(await openMesh(environment));
    return { mesh, inference: await mesh.inference(), opened };
  };
  let stage: ReturnType<typeof open> | undefined;
  const start = async (shape: keyof typeof shapes): Promise<Call> => {
    const { build, input } = shapes[shape];
    const at = await (stage ??= open());
    const dims = [1, ...input.slice(1)];
    await serveModel(at, shape, writeOnnx(build()));
    return callStraight(at, { model: shape, input: 'x', shape: dims, data: noise(elementCount(dims), 1, 1) });
  };
  return {
    caller(shape: keyof typeof shapes) {
      let started: Promise<Call> | undefined;
      return () => (started ??= start(shape));
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
