import { parseTrainingSpec } from '@modelmill/client';
import { openSession } from '@modelmill/runtime';
import { firstDigit, uploadDigits } from './digits.js';
import { listen, succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';
import { vulkanEnvironment } from './vulkan.js';

jest.setTimeout(600_000);
/** A device of software on a machine that does other things. */
const patienceMs = 120_000;

const environment = vulkanEnvironment(process.env);
const trained = { steps: 20, batch_size: 16, evaluate_every: 20, seed: 1, label: 'stable' };
/** Six channels into eight filters: what WebGPU in ONNX Runtime 1.30 misreads as it is. */
const cnn = parseTrainingSpec({
  ...trained,
  model: 'cnn',
  data: { dataset: 'digits', normalize: 'minmax' },
  layers: [
    { reshape: { shape: [1, 8, 8] } },
    { conv2d: { filters: 6, kernel: [3, 3], padding: 'same', activation: 'relu' } },
    { max_pool2d: { kernel: [2, 2] } },
    { conv2d: { filters: 8, kernel: [3, 3], activation: 'relu' } },
    { flatten: {} },
    { dense: { units: 10 } },
  ],
  optimizer: { adam: { learning_rate: 0.005 } },
});
const transformer = parseTrainingSpec({
  ...trained,
  model: 'transformer',
  data: { dataset: 'sayings', context: 16 },
  preset: { gpt: { layers: 2, heads: 2, width: 16 } },
  optimizer: { adam_w: { learning_rate: 0.005 } },
});

const digits = Float32Array.from({ length: 3 * 64 }, (_, i) => firstDigit()[i % 64]!);
const tokens = BigInt64Array.from({ length: 16 }, (_, i) => BigInt(i % 7));
const asked = {
  cnn: { name: 'input', datatype: 'FP32', shape: [3, 64], data: digits },
  transformer: { name: 'input', datatype: 'INT64', shape: [1, 16], data: tokens },
} as const;

/** Trains it and waits until it is served; the event that said so. */
async function served(mesh: Mesh, spec: typeof cnn): Promise<unknown> {
  await using events = await listen(mesh.natsUrl);
  const { status } = await mesh.mill.trainer.submit(spec);
  await succeeded(mesh.mill.trainer.watch(status!.jobId));
  return (await events.heard(new RegExp(`model\\.${spec.model}\\.1\\.ready$`))).data;
}

/** The same input through the same file, in this process. */
async function onCpu({ mill }: Mesh, model: keyof typeof asked): Promise<number[]> {
  const parts: Uint8Array[] = [];
  for await (const part of mill.registry.downloadVersion(model, '1')) parts.push(part);
  await using session = await openSession(Buffer.concat(parts), { providers: ['cpu'] });
  const { name, shape, data } = asked[model];
  const outputs = await session.run({ [name]: { dims: shape, data } });
  return session.outputs.flatMap((output) => [...(outputs[output.name]!.data as Float32Array)]);
}

const title = 'WebGPU serves a convolutional network and a transformer as the CPU does';
(environment ? it : it.skip)(`${title}${environment ? '' : ' (skipped: needs a Vulkan device)'}`, async () => {
  await using mesh = await startMesh({
    MILL_RUNNERS: '1',
    MILL_PROVIDERS: 'webgpu',
    MILL_REQUEST_TIMEOUT_MS: String(patienceMs),
    ...environment,
  });
  await uploadDigits(mesh.mill);
  const content = Buffer.from('to be or not to be, that is the question; '.repeat(60));
  await mesh.mill.datasets.upload({ dataset: 'sayings', content, format: { $case: 'text', text: {} } });
  for (const [model, spec] of [
    ['cnn', cnn],
    ['transformer', transformer],
  ] as const) {
    expect(await served(mesh, spec)).toMatchObject({ data: { provider: 'webgpu' } });
    const { outputs } = await mesh.mill.inference.infer({ model, inputs: [asked[model]] }, { deadlineMs: patienceMs });
    const got = outputs.flatMap(({ data }) => [...(data as Float32Array)]);
    const want = await onCpu(mesh, model);
    expect(got).toHaveLength(want.length);
    expect(Math.max(...got.map((value, at) => Math.abs(value - want[at]!)))).toBeLessThan(1e-3);
    expect(got).not.toEqual(want); // as exact as another order of sums, not the same arithmetic
  }
});
