import { parseTrainingSpec } from '@modelmill/client';
import { openTokenizer } from '@modelmill/data';
import type { TokenizerJson } from '@modelmill/data';
import { readOnnx } from '@modelmill/onnx';
import { readExample } from './digits.js';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

const words = ['the mill turns', 'the wheel grinds', 'a stone rests', 'water flows by the mill', 'and the day ends'];
/** Sentences in an order that does not repeat. */
const text = Array.from({ length: 1500 }, (_, i) => words[(i * i + (i >> 2)) % words.length]).join('. ');

describe('a text', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
    await mesh.mill.datasets.upload({
      dataset: 'mill-song',
      content: Buffer.from(text),
      format: { $case: 'text', text: {} },
      splits: { train: 0.9, validation: 0.1, test: 0, seed: 0n },
    });
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  const spec = (changes: Record<string, unknown> = {}) =>
    parseTrainingSpec({
      model: 'song',
      data: { dataset: 'mill-song', context: 24 },
      preset: { gpt: { layers: 1, heads: 2, width: 48, tied: true } },
      optimizer: { adam_w: { learning_rate: 0.005, weight_decay: 0.1 }, decay_on: 'matrices', clip_norm: 1 },
      steps: 300,
      evaluate_every: 100,
      batch_size: 16,
      seed: 1,
      label: 'stable',
      ...changes,
    });

  it('is learned token by token, and its model is served with the tokenizer in it', async () => {
    const { status } = await mesh.mill.trainer.submit(spec());
    const { version, metrics, artifactSha256, historySha256 } = await succeeded(mesh.mill.trainer.watch(status!.jobId));
    // within a sentence the next character is nearly always known
    expect(metrics['perplexity']).toBeLessThan(1.6);
    expect(metrics['accuracy']).toBeGreaterThan(0.85);
    expect(historySha256).toMatch(/^[0-9a-f]{64}$/);

    const parts: Uint8Array[] = [];
    for await (const part of mesh.mill.registry.downloadVersion('song', version)) parts.push(part);
    const model = readOnnx(Buffer.concat(parts));
    const tokenizer = openTokenizer(JSON.parse(model.metadata.get('modelmill.tokenizer')!) as TokenizerJson);
    expect(artifactSha256).not.toBe('');

    const ids = tokenizer.encode('the mill turns. the wheel gr'.slice(-24));
    const data = BigInt64Array.from(ids, BigInt);
    const answer = await ask(data);
    const last = (answer.length / ids.length) * (ids.length - 1);
    const after = Array.from(answer.slice(last));
    expect(tokenizer.decode([after.indexOf(Math.max(...after))])).toBe('i'); // "grinds"
  });

  it('is what the example of a language model is for', async () => {
    const [example] = readExample('language-model.yaml') as Record<string, object>[];
    const data = { ...example!['data'], dataset: 'mill-song' };
    const { parameters, signature } = await mesh.mill.trainer.validate(parseTrainingSpec({ ...example, data }));
    expect(parameters).toBeGreaterThan(790_000n);
    expect(signature?.inputs).toMatchObject([{ datatype: 'INT64' }]);
  });

  async function ask(data: BigInt64Array<ArrayBuffer>): Promise<Float32Array> {
    for (;;) {
      if (await mesh.mill.inference.modelReady('song')) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const input = { name: 'input', datatype: 'INT64' as const, shape: [1, data.length], data };
    const { outputs } = await mesh.mill.inference.infer({ model: 'song', inputs: [input] });
    return outputs[0]!.data as Float32Array;
  }

  it.each<[string, Record<string, unknown>, RegExp]>([
    [
      'a context longer than the text',
      { data: { dataset: 'mill-song', context: 60_000 } },
      /wants more than the context of 60000/,
    ],
    [
      'normalization',
      { data: { dataset: 'mill-song', normalize: 'minmax' } },
      /data.normalize is 'minmax', which text has no use for/,
    ],
    [
      'the loss of numbers',
      { losses: [{ kind: 'mse' }] },
      /loss is 'mse', the target of dataset 'mill-song' is one of \d+ tokens/,
    ],
    ['a metric of numbers', { metrics: ['r2'] }, /metrics name 'r2', which says nothing of a target of \d+ tokens/],
    [
      'layers that end in one row',
      { preset: { text_classifier: {} } },
      /gives \[.*\] per example, wants \[24, \d+\]: every place/,
    ],
  ])('refuses %s', async (_, changes, message) => {
    await expect(mesh.mill.trainer.submit(spec(changes))).rejects.toThrow(message);
  });
});
