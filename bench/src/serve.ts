import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Metadata } from '@grpc/grpc-js';
import { inferenceModel } from '@modelmill/autodiff';
import { inference, registry } from '@modelmill/contracts';
import { writeOnnx } from '@modelmill/onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { build } from './networks.js';
import { openMesh } from './open-mesh.js';
import type { BenchMesh } from './open-mesh.js';
import { openUnaryLoad } from './unary-load.js';

const echoMain = fileURLToPath(new URL('echo-main.js', import.meta.url));
const inferPath = '/inference.GRPCInferenceService/ModelInfer';
const inFlight = 64;
const calls = 3000;
const sequential = 400;

/** Answers of a mesh against a bare grpc-js echo of the same bytes, and against ONNX Runtime alone in this process. */
export async function serveContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const mesh = opened.use(await openMesh());
  const direct = await mesh.inference();
  const echo = opened.use(await startEcho());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${mesh.apiKey}`);

  const contests: Contest[] = [];
  for (const name of ['mlp-64-128-10', 'digits'] as const) {
    const model = writeOnnx(inferenceModel(build(name).forward, new Map(), { softmax: true }));
    await serve(mesh, name, model);
    const request = requestOf(name);
    const load = (address: string, path: string, meta = new Metadata()) =>
      opened.use(openUnaryLoad(address, path, request, meta));
    const straight = load(direct, inferPath);
    const through = load(mesh.gateway, inferPath, metadata);
    const bare = load(echo.address, '/bench.Echo/Echo');
    const answers = { unit: 'answers/s', better: 'higher', against: 'bare grpc-js echo of the same bytes' } as const;
    contests.push(
      {
        ...answers,
        case: `${name}, batch 1, ${inFlight} in flight, straight to inference`,
        goal: 0.75,
        ours: () => straight.perSecond(inFlight, calls),
        theirs: () => bare.perSecond(inFlight, calls),
      },
      {
        ...answers,
        case: `${name}, batch 1, ${inFlight} in flight, through the gateway`,
        goal: 0.45,
        ours: () => through.perSecond(inFlight, calls),
        theirs: () => bare.perSecond(inFlight, calls),
      },
      {
        case: `${name}, batch 1, one at a time, through the gateway, median`,
        unit: 'ms',
        better: 'lower',
        against: 'bare grpc-js echo of the same bytes',
        goal: 0.4,
        ours: () => through.medianMs(sequential),
        theirs: () => bare.medianMs(sequential),
      },
      {
        case: `${name}, batch 1, ${inFlight} in flight, through the gateway`,
        unit: 'answers/s',
        better: 'higher',
        against: 'ONNX Runtime in one process, without a network',
        goal: null,
        ours: () => through.perSecond(inFlight, calls),
        theirs: await rawSpeed(model),
      },
    );
  }
  const kept = opened.move();
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

async function serve({ mill }: BenchMesh, model: string, content: Uint8Array): Promise<void> {
  const { version } = await mill.registry.uploadVersion({ model, content });
  while ((await mill.registry.getVersion(model, version)).state !== registry.VersionState.VERSION_STATE_ADMITTED)
    await pause();
  await mill.registry.setLabel(model, { name: 'stable', targets: [{ version, weight: 1 }] });
  while (!(await mill.inference.modelReady(model))) await pause();
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

function requestOf(modelName: string): Buffer {
  const request = inference.ModelInferRequest.fromPartial({
    modelName,
    inputs: [{ name: 'input', datatype: 'FP32', shape: [1n, 64n] }],
    rawInputContents: [Buffer.from(pixels().buffer)],
  });
  return Buffer.from(inference.ModelInferRequest.encode(request).finish());
}

const pixels = () => Float32Array.from({ length: 64 }, (_, i) => i % 17);

async function rawSpeed(model: Uint8Array): Promise<() => Promise<number>> {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const input = new Tensor('float32', pixels(), [1, 64]);
  return async () => {
    const started = performance.now();
    for (let i = 0; i < calls; i++) await session.run({ input });
    return calls / ((performance.now() - started) / 1000);
  };
}

async function startEcho(): Promise<AsyncDisposable & { readonly address: string }> {
  const child = spawn(process.execPath, [echoMain], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}
