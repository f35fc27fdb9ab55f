import { JobFailedError, NotFoundError } from './errors.js';
import type { JobClaim } from './job-claim.js';
import type { JobKind } from './job-kind.js';
import type { JobRecord, JobResult } from './job-record.js';
import { settled, startNats } from './nats-for-tests.js';
import type { TestNats } from './nats-for-tests.js';
import type { Store } from './open-store.js';

const done: JobResult = { version: '', artifactSha256: 'a'.repeat(64), metrics: { accuracy: 0.5 } };
const spec = Buffer.from('a spec');

let nats: TestNats;
beforeEach(async () => {
  nats = await startNats();
});
afterEach(() => nats[Symbol.asyncDispose]());

function work(
  store: Store,
  handle: (claim: JobClaim) => Promise<JobResult>,
  options: object = {},
  kind: JobKind = 'train',
) {
  const { signal } = new AbortController();
  return store.jobs.work(kind, { concurrency: 1, ackWaitMs: 1_000, maxDeliver: 3, signal, ...options }, handle);
}

async function end(store: Store, id: string): Promise<JobRecord> {
  let last: JobRecord | undefined;
  for await (const job of store.jobs.watch(id)) last = job;
  return last!;
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    const give = () => reject(new Error(`stopped: ${String(signal.reason)}`));
    if (signal.aborted) give();
    signal.addEventListener('abort', give);
  });

/** Every event there is, by subject, in order. */
async function told(store: Store, until: RegExp): Promise<string[]> {
  const subjects: string[] = [];
  const { signal } = new AbortController();
  for await (const { subject } of store.events.subscribe({
    filters: [],
    start: { kind: 'after', sequence: 0n },
    signal,
  })) {
    subjects.push(subject.replace('mill.event.', ''));
    if (until.test(subject)) return subjects;
  }
  throw new Error('the events ended');
}

it('a job runs once and its story is told in order', async () => {
  await using store = await nats.open();
  const job = await store.jobs.submit('train', spec, 'one');
  expect(job.status.state).toEqual({ $case: 'queued', queued: {} });
  const seen: JobClaim[] = [];
  await using _worker = work(store, async (claim) => {
    seen.push(claim);
    await claim.update({ stage: 'training', done: 0.5, progress: Buffer.from('half'), checkpoint: 'c'.repeat(64) });
    claim.progressed({ step: 5 });
    return done;
  });
  const last = await end(store, 'one');
  expect(last.status.state).toMatchObject({ $case: 'succeeded', succeeded: done });
  expect(last.checkpoint).toBe('c'.repeat(64));
  expect(Buffer.from(last.progress!).toString()).toBe('half');
  expect(seen).toHaveLength(1);
  expect(Buffer.from(seen[0]!.job.spec).toString()).toBe('a spec');
  expect(await told(store, /succeeded$/)).toEqual(
    ['queued', 'started', 'checkpointed', 'progress', 'succeeded'].map((what) => `job.one.${what}`),
  );
});

it('a job that is submitted twice is one job', async () => {
  await using store = await nats.open();
  const [first, second] = await Promise.all([
    store.jobs.submit('train', spec, 'twice'),
    store.jobs.submit('train', Buffer.from('another'), 'twice'),
  ]);
  expect(first.spec).toEqual(second.spec);
  let runs = 0;
  await using _worker = work(store, async () => {
    runs++;
    return done;
  });
  await end(store, 'twice');
  await store.jobs.submit('train', spec, 'twice');
  await store.jobs.submit('train', spec, 'after');
  await end(store, 'after'); // the queue is in order, so a second message of `twice` would have been seen
  expect(runs).toBe(2);
  await expect(store.jobs.submit('optimize', spec, 'twice')).rejects.toThrow(
    "job 'twice' exists, to train and not to optimize",
  );
  expect((await store.jobs.list('train')).map(({ id }) => id)).toEqual(['after', 'twice']);
});

it('a job that fails by its own fault is not tried again', async () => {
  await using store = await nats.open();
  await store.jobs.submit('train', spec, 'bad');
  let runs = 0;
  await using _worker = work(store, async () => {
    runs++;
    throw new JobFailedError('layer 3 does not fit');
  });
  expect((await end(store, 'bad')).status.state).toEqual({
    $case: 'failed',
    failed: { reason: 'layer 3 does not fit' },
  });
  expect(runs).toBe(1);
});

it('a job that always throws is tried as often as allowed, then fails and goes to the dead letters', async () => {
  await using store = await nats.open();
  await store.jobs.submit('train', spec, 'poison');
  const attempts: number[] = [];
  await using _worker = work(store, async ({ attempt }) => {
    attempts.push(attempt);
    throw new Error('out of luck');
  });
  expect((await end(store, 'poison')).status.state).toEqual({
    $case: 'failed',
    failed: { reason: 'given up after 3 tries: out of luck' },
  });
  expect(attempts).toEqual([1, 2, 3]);
  const dead = await nats.messages('MILL_DEAD');
  expect(dead).toEqual([
    { id: 'poison', kind: 'train', reason: 'given up after 3 tries: out of luck', payload: spec.toString('base64') },
  ]);
  await settled(async () => (await nats.messages('MILL_JOBS')).length === 0);
});

it('a message that names no job goes to the dead letters at once', async () => {
  await using store = await nats.open();
  await nats.publish('mill.job.train', 'not json');
  await using _worker = work(store, async () => done);
  await settled(async () => (await nats.messages('MILL_DEAD')).length === 1);
  await settled(async () => (await nats.messages('MILL_JOBS')).length === 0);
});

it('a queued job is cancelled at once and never runs', async () => {
  await using store = await nats.open();
  await store.jobs.submit('train', spec, 'never');
  expect((await store.jobs.cancel('never')).status.state?.$case).toBe('cancelled');
  let ran: string[] = [];
  await using _worker = work(store, async ({ job }) => {
    ran = [...ran, job.id];
    return done;
  });
  await store.jobs.submit('train', spec, 'next');
  await end(store, 'next');
  expect(ran).toEqual(['next']);
  expect((await store.jobs.cancel('next')).status.state?.$case).toBe('succeeded');
});

it('a running job is cancelled within about a second', async () => {
  await using store = await nats.open();
  await store.jobs.submit('train', spec, 'long');
  let began!: () => void;
  const running = new Promise<void>((resolve) => (began = resolve));
  let reason: unknown;
  await using _worker = work(store, async ({ signal }) => {
    began();
    return aborted(signal).finally(() => (reason = signal.reason));
  });
  await running;
  const asked = performance.now();
  expect((await store.jobs.cancel('long')).cancelRequested).toBe(true);
  expect((await end(store, 'long')).status.state?.$case).toBe('cancelled');
  expect(performance.now() - asked).toBeLessThan(10_000);
  expect(reason).toBe('cancelled');
});

it('a worker that is silent past its ack wait loses its job, and nothing it still does counts', async () => {
  await using late = await nats.open();
  await using other = await nats.open();
  await late.jobs.submit('train', spec, 'stolen');
  let first!: JobClaim;
  let began!: () => void;
  const running = new Promise<void>((resolve) => (began = resolve));
  const controller = new AbortController();
  const silent = late.jobs.work(
    'train',
    { concurrency: 1, ackWaitMs: 1_000, maxDeliver: 3, signal: controller.signal },
    async (claim) => {
      first = claim;
      began();
      return aborted(claim.signal);
    },
  );
  await running;
  await nats.rewrite('mill_jobs', 'stolen', { owner: 'another', attempt: 2 }); // as if another had claimed it while this one was paused
  await expect(first.update({ done: 0.9 })).rejects.toThrow("job 'stolen' is no longer this worker's");
  await expect(first.assertOwned()).rejects.toThrow('no longer');
  expect(first.signal.reason).toBe('lost');
  await silent[Symbol.asyncDispose]();
  await using _worker = work(other, async ({ attempt }) => ({ ...done, metrics: { attempt } }));
  const last = await end(other, 'stolen');
  expect(last.status.state).toMatchObject({ $case: 'succeeded', succeeded: { metrics: { attempt: 3 } } });
});

it('a job goes on elsewhere, from its checkpoint, when its worker shuts down', async () => {
  const store = await nats.open();
  await store.jobs.submit('train', spec, 'moving');
  let began!: () => void;
  const running = new Promise<void>((resolve) => (began = resolve));
  const worker = work(
    store,
    async (claim) => {
      await claim.update({ checkpoint: 'd'.repeat(64) });
      began();
      return aborted(claim.signal);
    },
    { ackWaitMs: 30_000 },
  );
  await running;
  await using other = await nats.open();
  const claims: JobClaim[] = [];
  const handle = async (claim: JobClaim) => {
    claims.push(claim);
    return done;
  };
  const asked = performance.now();
  await worker[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose](); // the hand-over has reached the server before the connection closed
  await using _other = work(other, handle, { ackWaitMs: 30_000, maxDeliver: 1 }); // a shutdown is no try
  await end(other, 'moving');
  expect(claims.map(({ attempt, job }) => [attempt, job.checkpoint])).toEqual([[2, 'd'.repeat(64)]]);
  expect(performance.now() - asked).toBeLessThan(10_000);
});

it('a job keeps its worker while NATS is killed and restarted, and ends once', async () => {
  await using store = await nats.open();
  await store.jobs.submit('train', spec, 'through');
  let began!: () => void;
  const running = new Promise<void>((resolve) => (began = resolve));
  let proceed!: () => void;
  const restarted = new Promise<void>((resolve) => (proceed = resolve));
  let runs = 0;
  await using _worker = work(store, async (claim) => {
    runs++;
    began();
    await restarted;
    await claim.update({ done: 0.9 });
    return done;
  });
  await running;
  await nats.kill();
  const ended = end(store, 'through');
  await nats.start();
  proceed();
  expect((await ended).status.state?.$case).toBe('succeeded');
  expect(runs).toBe(1);
  expect((await told(store, /succeeded$/)).filter((subject) => subject.endsWith('succeeded'))).toHaveLength(1);
});

it('a job whose message was never queued is found and done', async () => {
  await using store = await nats.open();
  await store.jobs.submit('train', spec, 'forgotten');
  await nats.purge('MILL_JOBS');
  await using _worker = work(store, async () => done);
  expect((await end(store, 'forgotten')).status.state?.$case).toBe('succeeded');
});

it.each(['', '../etc/passwd', 'a.b', 'a b', '*', '>', 'x'.repeat(65), 'a\r\nPUB x'])(
  'refuses the job id %j',
  async (id) => {
    await using store = await nats.open();
    await expect(store.jobs.submit('train', spec, id)).rejects.toThrow('job id is ');
    await expect(store.jobs.get(id)).rejects.toThrow(NotFoundError);
  },
);

it('a job whose worker vanished goes on elsewhere within the ack wait and a second', async () => {
  await using other = await nats.open();
  const vanishing = await nats.open();
  await vanishing.jobs.submit('train', spec, 'orphan');
  let began!: () => void;
  const running = new Promise<void>((resolve) => (began = resolve));
  const worker = work(vanishing, async ({ update, signal }) => {
    await update({ checkpoint: 'e'.repeat(64) });
    began();
    return aborted(signal);
  });
  await running;
  const vanished = performance.now();
  await vanishing[Symbol.asyncDispose](); // its connection is gone under it, as after a kill
  const claims: JobClaim[] = [];
  await using _worker = work(other, async (claim) => {
    claims.push(claim);
    return done;
  });
  await end(other, 'orphan');
  expect(performance.now() - vanished).toBeLessThan(10_000);
  expect(claims.map(({ attempt, job }) => [attempt, job.checkpoint])).toEqual([[2, 'e'.repeat(64)]]);
  await worker[Symbol.asyncDispose]();
});

it('two workers that look at the same job at once are not both its owner', async () => {
  const stores = await Promise.all([nats.open(), nats.open(), nats.open()]);
  const runs: string[] = [];
  const workers = stores.map((store) =>
    work(store, async ({ job, attempt }) => {
      runs.push(`${job.id}.${attempt}`);
      return done;
    }),
  );
  const ids = Array.from({ length: 20 }, (_, at) => `many-${at}`);
  for (const id of ids) {
    await stores[0]!.jobs.submit('train', spec, id);
    await nats.publish('mill.job.train', JSON.stringify({ id })); // and once more, past the store
  }
  await Promise.all(ids.map((id) => end(stores[1]!, id)));
  await settled(async () => (await nats.messages('MILL_JOBS')).length === 0);
  expect(runs.sort()).toEqual(ids.map((id) => `${id}.1`).sort());
  for (const one of [...workers, ...stores]) await one[Symbol.asyncDispose]();
});

it('many jobs end once each while NATS is killed twice', async () => {
  await using store = await nats.open();
  await using other = await nats.open();
  const runs = new Map<string, number>();
  const handle = async ({ job, update }: JobClaim) => {
    await update({ done: 0.5 });
    const { version } = await store.registry.registerVersion({
      model: 'many',
      artifact: { sha256: 'a'.repeat(64), size: 1 },
      signature: { inputs: [], outputs: [] },
      lineage: { method: 'trained', parentVersion: '', jobId: job.id, dataset: '', datasetVersion: '' },
      metrics: {},
      jobId: job.id,
    });
    runs.set(job.id, (runs.get(job.id) ?? 0) + 1);
    return { ...done, version };
  };
  await using _one = work(store, handle, { concurrency: 2 });
  await using _two = work(other, handle, { concurrency: 2 });
  const ids = Array.from({ length: 60 }, (_, at) => `job-${at}`);
  const submitting = (async () => {
    for (const id of ids) await store.jobs.submit('train', spec, id);
  })();
  for (const some of [10, 30]) {
    await settled(async () => runs.size >= some);
    await nats.kill();
    await nats.start();
  }
  await submitting;
  const ends = await Promise.all(ids.map((id) => end(other, id)));
  const versions = ends.map(({ status: { state } }) =>
    state?.$case === 'succeeded' ? state.succeeded.version : state,
  );
  expect(new Set(versions).size).toBe(ids.length);
  expect((await store.registry.model('many')).versions).toHaveLength(ids.length);
  const subjects = ((await nats.messages('MILL_EVENTS')) as { subject: string }[]).map(({ subject }) => subject);
  const count = (what: string) => subjects.filter((subject) => subject.endsWith(what)).length;
  expect([count('.queued'), count('.succeeded'), count('.registered')]).toEqual([60, 60, 60]);
});
