import { settled, startNats } from './nats-for-tests.js';

it('a replica is listed while it lives, with what it said last', async () => {
  await using nats = await startNats();
  await using store = await nats.open({ replica: 'host.example-1' });
  await using other = await nats.open();
  let hints = 0;
  await using _watch = other.replicas.watch(() => hints++);
  const announced = await store.replicas.announce({ service: 'inference', address: '127.0.0.1:9000' });
  await settled(async () => (await other.replicas.list('inference')).length === 1);
  const models = [{ model: 'digits', version: '3', labels: ['stable'] }];
  const before = hints;
  await announced.update({ models });
  await settled(async () => hints > before);
  expect(await other.replicas.list('inference')).toMatchObject([
    { service: 'inference', replica: 'host.example-1', address: '127.0.0.1:9000', models },
  ]);
  expect(await other.replicas.list('trainer')).toEqual([]);
  await announced[Symbol.asyncDispose]();
  await settled(async () => (await other.replicas.list('inference')).length === 0);
});

it('a replica that falls silent is forgotten and who watches is told', async () => {
  await using nats = await startNats();
  await using other = await nats.open();
  const silent = await nats.open();
  const announced = await silent.replicas.announce({ service: 'trainer', address: '127.0.0.1:9001' });
  await silent[Symbol.asyncDispose](); // its connection first, as a kill would: it cannot say goodbye
  await announced[Symbol.asyncDispose]();
  expect(await other.replicas.list('trainer')).toHaveLength(1);
  let watch: AsyncDisposable | undefined;
  const forgotten = new Promise<void>((resolve) => {
    const look = async () => {
      if ((await other.replicas.list('trainer')).length === 0) resolve();
    };
    watch = other.replicas.watch(() => void look());
  });
  await forgotten;
  await watch![Symbol.asyncDispose]();
});

it('replicas are listed again after NATS was killed', async () => {
  await using nats = await startNats();
  await using store = await nats.open();
  await using _announced = await store.replicas.announce({ service: 'inference', address: '127.0.0.1:9000' });
  await nats.kill();
  await nats.start();
  await settled(async () => (await store.replicas.list('inference')).length === 1);
});
