import type { InferRequest, Mill, StreamedAnswer, Subscription } from '@modelmill/client';
import { classifier, serve } from './identity-models.js';
import { listen } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(180_000);

const isReady = /model\.classes\.1\.ready$/;
const row = (id: number, columns = 4): InferRequest => ({
  model: 'classes',
  id: String(id),
  inputs: [{ name: 'input', datatype: 'FP32', shape: [1, columns], data: Array.from({ length: columns }, () => id) }],
  outputs: ['probabilities'],
});

describe('the SDK', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh();
    await serve(mesh, 'classes', classifier());
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('streams more requests than are under way at a time, and a bad one spoils no other', async () => {
    const bad = 70;
    const requests = Array.from({ length: 150 }, (_, id) => row(id, id === bad ? 5 : 4));
    const answers: StreamedAnswer[] = [];
    for await (const answer of mesh.mill.inference.inferStream(requests)) answers.push(answer);

    expect(answers.map(({ id }) => id)).toEqual(requests.map(({ id }) => id));
    expect(answers.flatMap((answer) => (answer.kind === 'failed' ? [answer.message] : []))).toEqual([
      await mesh.mill.inference.infer(row(bad, 5)).catch((error: Error) => error.message),
    ]);
    for (const id of [0, bad - 1, bad + 1, 149]) {
      const answer = answers[id]!;
      const { outputs } = await mesh.mill.inference.infer(row(id));
      expect(answer.kind === 'answered' && answer.response.outputs).toEqual(outputs);
    }
  });

  it('closes the source of a stream whose reader leaves', async () => {
    let close!: () => void;
    const closed = new Promise<void>((done) => (close = done));
    async function* endless() {
      try {
        for (let id = 0; ; id++) yield row(id);
      } finally {
        close();
      }
    }
    const seen: string[] = [];
    for await (const { id } of mesh.mill.inference.inferStream(endless())) {
      if (seen.push(id) === 10) break;
    }
    await closed;
    expect(seen).toEqual(Array.from({ length: 10 }, (_, id) => String(id)));
  });

  it('gives a reader what the source of a stream threw', async () => {
    async function* broken() {
      yield row(0);
      throw new Error('the camera is gone');
    }
    const read = async () => {
      for await (const answer of mesh.mill.inference.inferStream(broken())) void answer;
    };
    await expect(read()).rejects.toThrow('the camera is gone');
  });

  it('hears once of every event, also of those that happen while the gateway is away', async () => {
    await using old = follow(mesh.mill, {
      filters: ['model.classes.*.ready'],
      start: { $case: 'afterSequence', afterSequence: 0n },
    });
    await using fresh = follow(mesh.mill, { filters: ['model.classes.*.ready'] });
    await old.heard(1);

    await mesh.service('gateway').kill();
    await using meanwhile = await listen(mesh.natsUrl);
    await mesh.restart('inference');
    await meanwhile.heard(isReady);
    await mesh.restart('gateway');

    await old.heard(2);
    await fresh.heard(1);
    // a third that both hear, after which a repetition of the second would have come
    await mesh.restart('inference');
    await old.heard(3);
    await fresh.heard(2);
    expect(new Set(old.sequences).size).toBe(3);
    expect(fresh.sequences).toEqual(old.sequences.slice(1));
  });
});

/** Reads a subscription until it is disposed. */
function follow(mill: Mill, subscription: Subscription) {
  const stop = new AbortController();
  const sequences: bigint[] = [];
  let wake = () => {};
  async function read() {
    for await (const { sequence } of mill.events.subscribe(subscription, { signal: stop.signal })) {
      sequences.push(sequence);
      wake();
    }
  }
  const reading = read();
  return {
    sequences,
    async heard(count: number) {
      while (sequences.length < count) await Promise.race([new Promise<void>((done) => (wake = done)), reading]);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await reading;
    },
  };
}
