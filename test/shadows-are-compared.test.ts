import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connectMill } from '@modelmill/client';
import { classifier } from './identity-models.js';
import { listen } from './jobs.js';
import { apiKey, startMesh, startService } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

const features = 4;
const rowsOf = (seed: number) => Array.from({ length: 3 * features }, (_, i) => Math.cos(seed + i * i));
const request = (seed: number, version?: string) => ({
  model: 'digits',
  version,
  inputs: [{ name: 'input', datatype: 'FP32', shape: [3, features], data: rowsOf(seed) } as const],
});

async function upload({ mill, natsUrl }: Mesh, content: Uint8Array): Promise<string> {
  await using events = await listen(natsUrl);
  const { version } = await mill.registry.uploadVersion({ model: 'digits', content });
  await events.heard(new RegExp(`model\\.digits\\.${version}\\.admitted$`));
  return version;
}

/** What the four doors answer to these rows: the version, and nothing of another one. */
const doors: Readonly<Record<string, (mesh: Mesh, seed: number) => Promise<string>>> = {
  async grpc({ mill }, seed) {
    return (await mill.inference.infer(request(seed))).version;
  },
  async stream({ mill }, seed) {
    for await (const answer of mill.inference.inferStream([request(seed, 'stable')])) {
      if (answer.kind === 'answered') return answer.response.version;
    }
    return 'none';
  },
  async v2(mesh, seed) {
    const inputs = [{ name: 'input', datatype: 'FP32', shape: [3, features], data: rowsOf(seed) }];
    const answer = await mesh.fetch('/v2/models/digits/infer', { method: 'POST', body: JSON.stringify({ inputs }) });
    return ((await answer.json()) as { model_version: string }).model_version;
  },
  async v1(mesh, seed) {
    const rows = rowsOf(seed);
    const instances = [0, 1, 2].map((row) => rows.slice(row * features, (row + 1) * features));
    const answer = await mesh.fetch('/v1/models/digits/labels/stable:predict', {
      method: 'POST',
      body: JSON.stringify({ instances }),
    });
    const { predictions } = (await answer.json()) as { predictions: { probabilities: number[] }[] };
    const { outputs } = await mesh.mill.inference.infer(request(seed, '1'));
    const first = outputs.find(({ name }) => name === 'probabilities')!.data as Float32Array;
    const far = Math.max(
      ...predictions.flatMap(({ probabilities }) => probabilities).map((p, i) => Math.abs(p - first[i]!)),
    );
    return far < 1e-6 ? '1' : `another: ${far}`;
  },
};

async function probabilities({ mill }: Mesh, seed: number, version: string): Promise<Float32Array> {
  const { outputs } = await mill.inference.infer(request(seed, version));
  return outputs.find(({ name }) => name === 'probabilities')!.data as Float32Array;
}

const largest = (row: Float32Array) => row.indexOf(Math.max(...row));

it('a shadow runs what every door of a label takes, is compared, and goes; the caller gets the first version', async () => {
  await using mesh = await startMesh({ MILL_RUNNERS: '2' });
  const { mill } = mesh;
  await upload(mesh, classifier(features, 3, 1));
  await upload(mesh, classifier(features, 3, -0.5));
  await upload(mesh, classifier(features + 1, 3));
  const command = resolve(__dirname, '../packages/cli/dist/main.js');
  const cli = async (...args: string[]) => {
    const env = { ...process.env, MILL_API_KEY: apiKey, MILL_ADDRESS: mesh.grpc };
    return (await promisify(execFile)(process.execPath, [command, ...args], { env })).stdout;
  };
  {
    await using events = await listen(mesh.natsUrl);
    expect(await cli('models', 'label', 'digits', 'stable', '1', '--shadow', '2')).toContain(
      'version 2 runs the requests to stable again, as its shadow',
    );
    await events.heard(/model\.digits\.1\.ready$/);
    await events.heard(/model\.digits\.2\.ready$/);
  }
  await expect(
    mill.registry.setLabel('digits', {
      name: 'stable',
      targets: [{ version: '1', weight: 1 }],
      shadow: { version: '3' },
    }),
  ).rejects.toThrow("its input 'input' has shape [-1,5], version '1' takes [-1,4]");

  let seed = 0;
  for (const [door, ask] of Object.entries(doors)) {
    for (let i = 0; i < 5; i++) expect([door, await ask(mesh, seed++)]).toEqual([door, '1']);
  }
  let told = await mill.serving.shadowComparison('digits', 'stable');
  while (told.compared < 20n) {
    await pause(20);
    told = await mill.serving.shadowComparison('digits', 'stable');
  }
  expect(told).toMatchObject({ replicas: 1, answered: 20n, picked: 20n, compared: 20n, failed: 0n, waiting: 0n });

  // the same by asking both versions
  let [most, squares, agree] = [0, 0, 0];
  for (let i = 0; i < seed; i++) {
    const [ours, theirs] = [await probabilities(mesh, i, '1'), await probabilities(mesh, i, '2')];
    for (const [at, value] of ours.entries()) {
      most = Math.max(most, Math.abs(value - theirs[at]!));
      squares += (value - theirs[at]!) ** 2;
    }
    for (let at = 0; at < 9; at += 3) {
      if (largest(ours.subarray(at, at + 3)) === largest(theirs.subarray(at, at + 3))) agree++;
    }
  }
  const [classes, scores] = told.outputs;
  expect(scores).toMatchObject({ name: 'probabilities', rows: 60n, agreeingRows: BigInt(agree), elements: 180n });
  expect(scores!.maxDifference).toBeCloseTo(most, 6);
  expect(scores!.rmsDifference).toBeCloseTo(Math.sqrt(squares / 180), 6);
  expect(classes).toMatchObject({ name: 'class', datatype: 'INT64', elements: 60n, equalElements: BigInt(agree) });
  for (const side of [told.answeredTimes!, told.shadowTimes!]) {
    expect(side.answer!.p99Ms).toBeGreaterThanOrEqual(side.answer!.p50Ms);
    expect(side.execution!.p50Ms).toBeGreaterThan(0);
  }

  const text = await cli('models', 'shadow', 'digits', 'stable');
  expect(text).toContain('20 of 20 requests to stable were compared with version 2');
  expect(text).toContain('in ONNX Runtime: answered in');
  const rest = await mesh.fetch('/mill/v1/models/digits/labels/stable/shadow');
  expect(await rest.json()).toMatchObject({ comparison: { version: '2', compared: '20' } });

  await expect(mill.registry.deleteVersion('digits', '2')).rejects.toThrow("has as its shadow version '2'");
  await cli('models', 'label', 'digits', 'stable', '1');
  const gone = await mesh.fetch('/mill/v1/models/digits/labels/stable/shadow');
  expect([gone.status, await gone.text()]).toEqual([404, expect.stringContaining("'digits' has no shadow") as string]);
  await mill.registry.deleteVersion('digits', '2');
  expect(await doors['grpc']!(mesh, 1)).toBe('1');
});

it('two replicas tell of a shadow as one, and the one that is left tells alone', async () => {
  await using mesh = await startMesh({ MILL_RUNNERS: '2' });
  await using second = await startService('inference', {
    MILL_NATS_URL: mesh.natsUrl,
    MILL_ARTIFACTS_DIR: join(mesh.folder, 'artifacts'),
    MILL_RUNNERS: '2',
  });
  const { mill } = mesh;
  await upload(mesh, classifier(features, 3, 1));
  await upload(mesh, classifier(features, 3, -0.5));
  await using events = await listen(mesh.natsUrl);
  await mill.registry.setLabel('digits', {
    name: 'stable',
    targets: [{ version: '1', weight: 1 }],
    shadow: { version: '2', share: 1 },
  });
  const ready = () => events.seen.filter(({ subject }) => subject.endsWith('.ready')).length;
  while (ready() < 4) await pause(20); // both versions on both replicas

  const first = mesh.service('inference') as Awaited<ReturnType<typeof startService>>;
  await using ofFirst = connectMill({ address: `127.0.0.1:${String(first.serving['port'])}` });
  await using ofSecond = connectMill({ address: `127.0.0.1:${String(second.serving['port'])}` });
  let asked = 0;
  const both = () => Promise.all([ofFirst, ofSecond].map((of) => of.serving.shadowComparison('digits', 'stable')));
  for (let [one, other] = await both(); one!.answered < 5n || other!.answered < 5n; [one, other] = await both()) {
    for (let i = 0; i < 5; i++) await mill.inference.infer(request(asked++));
  }
  let told = await mill.serving.shadowComparison('digits', 'stable');
  while (told.compared < asked) {
    await pause(20);
    told = await mill.serving.shadowComparison('digits', 'stable');
  }
  const [one, other] = await both();
  expect(told).toMatchObject({ replicas: 2, answered: BigInt(asked), compared: BigInt(asked), failed: 0n });
  expect(one!.compared + other!.compared).toBe(BigInt(asked));
  const [scores, ...of] = [told, one!, other!].map(({ outputs }) => outputs.find(({ rows }) => rows > 0n)!);
  expect(scores).toMatchObject({ name: 'probabilities', rows: BigInt(3 * asked), elements: BigInt(9 * asked) });
  expect(scores!.maxDifference).toBe(Math.max(...of.map(({ maxDifference }) => maxDifference)));
  let squares = 0;
  for (let seed = 0; seed < asked; seed++) {
    const [ours, theirs] = [await probabilities(mesh, seed, '1'), await probabilities(mesh, seed, '2')];
    for (const [at, value] of ours.entries()) squares += (value - theirs[at]!) ** 2;
  }
  expect(scores!.rmsDifference).toBeCloseTo(Math.sqrt(squares / (9 * asked)), 6);

  await second.kill();
  const left = await mill.serving.shadowComparison('digits', 'stable');
  expect(left).toMatchObject({ replicas: 1, compared: one!.compared });
});
