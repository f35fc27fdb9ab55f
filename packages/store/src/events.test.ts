import type { EventStart, Subscription } from './event.js';
import { startNats } from './nats-for-tests.js';
import type { TestNats } from './nats-for-tests.js';
import type { Store } from './open-store.js';
import { matches } from './subject-pattern.js';

let nats: TestNats;
beforeEach(async () => {
  nats = await startNats();
});
afterEach(() => nats[Symbol.asyncDispose]());

const beginning: EventStart = { kind: 'after', sequence: 0n };
const publish = (store: Store, number: number, subject = `job.j${number}.progress`) =>
  store.events.publish({ subject, data: { number }, msgId: `${subject}.${number}` });

/** The numbers of the first `count` events. */
async function take(store: Store, count: number, { filters = [], start = beginning }: Partial<Subscription> = {}) {
  const numbers: number[] = [];
  const { signal } = new AbortController();
  for await (const { data } of store.events.subscribe({ filters, start, signal })) {
    numbers.push((data as { number: number }).number);
    if (numbers.length === count) break;
  }
  return numbers;
}

it('events are CloudEvents 1.0, and one id is one event', async () => {
  await using store = await nats.open({ replica: 'trainer-1' });
  const event = { subject: 'model.digits.3.ready', data: { model: 'digits' }, msgId: 'model.digits.3.ready' };
  await store.events.publish(event);
  await store.events.publish(event);
  expect(await nats.messages('MILL_EVENTS')).toEqual([
    {
      specversion: '1.0',
      id: 'model.digits.3.ready',
      source: 'trainer-1',
      type: 'ready',
      subject: 'mill.event.model.digits.3.ready',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      datacontenttype: 'application/json',
      data: { model: 'digits' },
    },
  ]);
});

it('a subscription goes on after the last sequence it saw', async () => {
  await using store = await nats.open();
  for (let number = 1; number <= 5; number++) await publish(store, number);
  expect(await take(store, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(await take(store, 2, { start: { kind: 'after', sequence: 3n } })).toEqual([4, 5]);
});

it('a position beyond the end, from a stream that is no more, gets what comes now', async () => {
  await using store = await nats.open();
  await publish(store, 1);
  const taking = take(store, 1, { start: { kind: 'after', sequence: 10_000n } });
  const until = setInterval(() => void publish(store, 2), 50);
  expect(await taking).toEqual([2]);
  clearInterval(until);
});

it('a subscription from a time sees what came since', async () => {
  await using store = await nats.open();
  await publish(store, 1);
  const time = new Date(Date.now() + 1);
  while (Date.now() <= time.getTime()) await publish(store, 1); // the same event: published once
  await publish(store, 2);
  expect(await take(store, 1, { start: { kind: 'since', time } })).toEqual([2]);
});

it('several filters are one stream in order', async () => {
  await using store = await nats.open();
  await publish(store, 1, 'model.digits.1.ready');
  await publish(store, 2, 'model.others.1.ready');
  await publish(store, 3, 'job.a.succeeded');
  await publish(store, 4, 'job.a.progress');
  await publish(store, 5, 'model.digits.2.ready');
  expect(await take(store, 3, { filters: ['model.digits.>', 'job.*.succeeded'] })).toEqual([1, 3, 5]);
  expect(await take(store, 2, { filters: ['model.digits.>'] })).toEqual([1, 5]);
});

it('a subscription ends with its signal, also while it waits', async () => {
  await using store = await nats.open();
  await publish(store, 1);
  const stopping = new AbortController();
  const seen: string[] = [];
  for await (const { type } of store.events.subscribe({ filters: [], start: beginning, signal: stopping.signal })) {
    seen.push(type);
    setImmediate(() => stopping.abort());
  }
  expect(seen).toEqual(['progress']);
});

it('a subscription has neither gap nor repeat when NATS is killed twice under it', async () => {
  await using store = await nats.open();
  await using other = await nats.open();
  const all = Array.from({ length: 300 }, (_, at) => at + 1);
  const taking = take(other, all.length);
  const publishing = (async () => {
    for (const number of all) await publish(store, number);
  })();
  const reached = (number: number) => take(store, 1, { filters: [`job.j${number}.progress`] });
  await reached(50);
  await nats.kill();
  await nats.start();
  await reached(150);
  await nats.kill();
  await nats.start();
  await publishing;
  expect(await taking).toEqual(all);
});

it.each(['a..b', '.', 'a.>.b', 'a b', 'x'.repeat(65), 'a.b.c.d.e.f.g.h.i', ''])(
  'refuses the filter %j',
  async (filter) => {
    await using store = await nats.open();
    await expect(take(store, 1, { filters: [filter] })).rejects.toThrow('event filter is ');
  },
);

it.each(['*', 'job.>', 'a b', 'a\r\nb', '', 'job.é', 'x'.repeat(5_000)])('refuses the subject %j', async (subject) => {
  await using store = await nats.open();
  await expect(publish(store, 1, subject)).rejects.toThrow('event subject is ');
});

it.each([
  ['a.b', 'a.b', true],
  ['a.b', 'a.c', false],
  ['a.*', 'a.b', true],
  ['a.*', 'a.b.c', false],
  ['a.>', 'a.b.c', true],
  ['a.>', 'a', false],
  ['*.b', 'a.b', true],
  ['>', 'a', true],
])('pattern %s on subject %s: %s', (pattern, subject, wanted) => {
  expect(matches(pattern, subject)).toBe(wanted);
});
