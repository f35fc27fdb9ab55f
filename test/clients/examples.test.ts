import { gunzipSync } from 'node:zlib';
import type { MillError } from '@modelmill/client';
import { digitsFile } from '../digits.js';
import { classifier, serve } from '../identity-models.js';
import { listen } from '../jobs.js';
import { apiKey, startMesh } from '../start-mesh.js';
import type { Mesh } from '../start-mesh.js';
import { exampleClients, startExample } from './example-programs.js';

jest.setTimeout(180_000);

const [features, classes, scale] = [64, 10, 0.01];

/** The first two pictures of the data set, which the examples hold as well. */
const pictures = gunzipSync(digitsFile())
  .toString()
  .split('\n', 2)
  .map((row) => row.split(',').slice(0, features).map(Number));

/** What the classifier of these sizes makes of a picture, in doubles. */
function seen(picture: readonly number[]): string {
  const logits = Array.from({ length: classes }, (_, k) =>
    picture.reduce((sum, pixel, i) => sum + pixel * Math.fround(scale * Math.sin(i * classes + k)), 0),
  );
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const best = logits.indexOf(Math.max(...logits));
  return `version 1 sees a ${best} with probability ${(Math.exp(logits[best]!) / total).toFixed(4)}`;
}

describe('the examples with generated stubs', () => {
  const clients = exampleClients();
  const watchers = new Map<string, ReturnType<typeof startExample>>();
  let mesh: Mesh;
  let readies: readonly unknown[];
  beforeAll(async () => {
    mesh = await startMesh();
    await using events = await listen(mesh.natsUrl);
    const ready = () => events.seen.filter(({ subject }) => /model\.digits\.1\.ready$/.test(subject));
    await serve(mesh, 'digits', classifier(features, classes, scale));
    await events.heard(/model\.digits\.1\.ready$/);
    for (const { name, watch, outcome } of clients) {
      if (outcome.kind === 'ready') watchers.set(name, startExample(name, [...watch, mesh.grpc], apiKey));
    }
    // one that ends early fails its own test below
    await Promise.allSettled([...watchers.values()].map((watcher) => watcher.printed(ready().length)));

    await mesh.service('gateway').kill();
    await using meanwhile = await listen(mesh.natsUrl);
    await mesh.restart('inference');
    await meanwhile.heard(/model\.digits\.1\.ready$/);
    await mesh.restart('gateway');
    readies = ready();
  });
  afterAll(async () => {
    for (const watcher of watchers.values()) await watcher[Symbol.asyncDispose]();
    await mesh[Symbol.asyncDispose]();
  });

  describe.each(clients)('in $name', ({ name, needs, outcome, infer }) => {
    if (outcome.kind === 'missing') console.info(`examples in ${name} are skipped: needs ${needs}: ${outcome.why}`);
    const promise = (sentence: string, test: () => Promise<void>) =>
      outcome.kind === 'missing' ? it.skip(`${sentence} (skipped: needs ${needs})`, test) : it(sentence, test);

    promise('list versions, infer with typed and raw contents, and show a refusal', async () => {
      expect(outcome).toEqual({ kind: 'ready' });
      await using program = startExample(name, [...infer, mesh.grpc], apiKey);
      expect({ code: await program.ended, errors: program.errors() }).toEqual({ code: 0, errors: '' });
      const { sizeBytes } = await mesh.mill.registry.getVersion('digits', '1');
      const wrong = { name: 'input', datatype: 'FP32', shape: [1, 63], data: pictures[0]!.slice(0, 63) } as const;
      const refusal = await mesh.mill.inference.infer({ model: 'digits', inputs: [wrong] }).catch((error) => error);
      const { message } = refusal as MillError;
      expect(program.lines).toEqual([
        `version 1: admitted, ${sizeBytes} bytes, uploaded`,
        'label stable: version 1',
        `typed: ${seen(pictures[0]!)}`,
        ...pictures.map((picture) => `raw: ${seen(picture)}`),
        // each language writes the same code its own way
        `refused: ${name === 'go' ? 'InvalidArgument' : 'INVALID_ARGUMENT'}: ${message}`,
      ]);
    });

    promise('watch events, and miss none that happen while the gateway is away', async () => {
      expect(outcome).toEqual({ kind: 'ready' });
      const watcher = watchers.get(name)!;
      await watcher.printed(readies.length);
      const sequences = watcher.lines.map((line) => Number(/^#(\d+) model digits version 1 is ready$/.exec(line)?.[1]));
      expect(sequences).toHaveLength(readies.length);
      expect(sequences.every(Number.isInteger)).toBe(true);
      expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
      expect(watcher.errors()).toContain(`connection lost after #${sequences.at(-2)}`);
    });
  });
});
