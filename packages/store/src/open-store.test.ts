import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { isAtLeast } from './connection.js';
import { StoreUnavailableError } from './errors.js';
import { hasEnded } from './job-record.js';
import { settled, startNats } from './nats-for-tests.js';
import { openStore } from './open-store.js';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => server.on('listening', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

it('gives up in one line that names the server, and not its password, when NATS is not there', async () => {
  await using nats = await startNats();
  const port = await freePort();
  const opening = nats.open({ natsUrl: `nats://mill:secret@127.0.0.1:${port}`, waitMs: 600 });
  const error: unknown = await opening.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StoreUnavailableError);
  const { message } = error as Error;
  expect(message).toContain(`NATS at nats://127.0.0.1:${port} was not reached within 600 ms`);
  expect(message).not.toContain('secret');
  expect(message).not.toContain('\n');
});

it('may be opened before NATS is there', async () => {
  await using nats = await startNats();
  await nats.kill();
  const heard: string[] = [];
  const opening = nats.open({ waitMs: 20_000, onStatus: ({ type }) => heard.push(type) });
  await settled(async () => heard.includes('waiting'));
  await nats.start();
  await using store = await opening;
  expect(await store.registry.models()).toEqual([]);
});

it('stops trying when its signal aborts', async () => {
  await using nats = await startNats();
  const stopping = new AbortController();
  const port = await freePort();
  const opening = openStore({
    natsUrl: `127.0.0.1:${port}`,
    service: 'test',
    replica: 'r',
    artifactsDir: nats.folder,
    onStatus: () => stopping.abort(new Error('told to stop')),
    signal: stopping.signal,
  });
  await expect(opening).rejects.toThrow(/told to stop|aborted/);
});

it('may be opened by many at once on an empty server', async () => {
  await using nats = await startNats();
  const stores = await Promise.all(Array.from({ length: 5 }, () => nats.open()));
  for (const store of stores) await store[Symbol.asyncDispose]();
});

it('goes on with a server that came back empty', async () => {
  await using nats = await startNats();
  await using store = await nats.open();
  const { signal } = new AbortController();
  const result = { version: '', artifactSha256: '', metrics: {} };
  const options = { concurrency: 1, ackWaitMs: 1_000, maxDeliver: 3, signal };
  await using _worker = store.jobs.work('train', options, async () => result);
  await store.jobs.submit('train', Buffer.from('spec'), 'before');
  await nats.kill();
  nats.wipe();
  await nats.start();
  await store.jobs.submit('train', Buffer.from('spec'), 'after');
  for await (const job of store.jobs.watch('after')) if (hasEnded(job)) break;
  expect((await store.jobs.list('train')).map(({ id }) => id)).toEqual(['after']);
});

it.each([
  ['2.9.10', true],
  ['2.9.4', true],
  ['2.15.1', true],
  ['3.0.0-beta.1', true],
  ['2.9.3', false],
  ['2.8.9', false],
  ['unknown', false],
])('version %s is at least 2.9.4: %s', (version, wanted) => {
  expect(isAtLeast(version, '2.9.4')).toBe(wanted);
});
