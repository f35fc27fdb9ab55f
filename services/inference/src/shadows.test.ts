import { setTimeout as pause } from 'node:timers/promises';
import { inference, registry } from '@modelmill/contracts';
import type { RunResult, TensorData } from '@modelmill/runtime';
import { createBatcher } from './batcher.js';
import type { Caller } from './batcher.js';
import type { ServedVersion } from './served-version.js';
import { createShadows, wantEveryRunner } from './shadows.js';
import { createStatistics } from './statistics.js';

const runners = 2;
const y: TensorData = { datatype: 'FP32', shape: [1], data: new Uint8Array(4) };
const answer: RunResult = { outputs: new Map([['y', y]]), computeNs: 1n };

/** A version with a real queue, whose executions end when the test says so. */
function heldVersion(version: string) {
  const ends: (() => void)[] = [];
  const { infer, demand } = createBatcher({
    model: 'm',
    batched: false,
    maxBatch: 1,
    maxQueue: 100,
    maxQueueBytes: 1e6,
    maxWaitMs: 60_000,
    runners,
    sideBySide: runners,
    lanes: 2 * runners,
    cost: { whole: [], compute: [] },
    occupancy: () => ({ requests: ends.length, idle: runners }),
    statistics: createStatistics(),
    execute: () => new Promise((resolve) => ends.push(() => resolve(answer))),
  });
  const checked = { inputs: new Map(), outputs: undefined, rows: 1, queueTimeoutMs: undefined, classes: new Map() };
  const served = {
    version,
    memoryBytes: 1,
    preferredBatch: 0,
    batched: false,
    outputs: new Map([['y', y]]),
    demand,
    async infer(_: inference.ModelInferRequest, caller?: Caller) {
      await infer({ ...checked, priority: Infinity }, caller);
      return inference.ModelInferResponse.fromPartial({});
    },
  };
  const begun = async (count: number) => {
    while (ends.length < count) await pause(1);
  };
  return { served: served as unknown as ServedVersion, ends, begun };
}

/** Label `stable` of version 1 with version 2 as its shadow, in a service of two runners. */
function shadowedLabel() {
  const [target, shadow] = [heldVersion('1'), heldVersion('2')];
  const model = registry.Model.fromPartial({
    name: 'm',
    labels: [{ name: 'stable', targets: [{ version: '1', weight: 1 }], shadow: { version: '2', share: 1 } }],
  });
  const shadows = createShadows({
    atOnce: 1,
    find: () => shadow.served,
    isBusy: () => wantEveryRunner([target.served, shadow.served], runners),
  });
  shadows.follow([model]);
  const { targets } = model.labels[0]!;
  const through = shadows.through({ model, label: 'stable', targets, served: target.served }, target.served);
  const ask = () => through.infer(inference.ModelInferRequest.fromPartial({}));
  return { ...shadows, tally: shadows.find('m', 'stable')!.tally, target, shadow, ask };
}

it('requests that somebody waits for want every runner when there are as many of them', () => {
  const version = (demand: number) => ({ demand: () => demand });
  expect(wantEveryRunner([], 1)).toBe(false);
  expect(wantEveryRunner([version(1)], 2)).toBe(false);
  expect(wantEveryRunner([version(1), version(1)], 2)).toBe(true);
  expect(wantEveryRunner([version(0), version(3)], 2)).toBe(true);
});

it('a shadow waits while others want every runner, whichever version they are for, and runs when one is left', async () => {
  using label = shadowedLabel();
  const { target, shadow, ask } = label;
  const first = ask();
  const others = [ask(), ask()];
  await target.begun(3);
  target.ends[0]!();
  await first;
  await pause(150); // it looks again every 25 ms
  expect(shadow.ends).toHaveLength(0);
  expect(label.tally.waiting()).toBe(1);
  target.ends[1]!();
  await shadow.begun(1);
  target.ends[2]!();
  for (let next = 0; next < 3; next++) {
    await shadow.begun(next + 1);
    shadow.ends[next]!();
  }
  await Promise.all(others);
  while (label.tally.waiting() > 0) await pause(1);
  expect(label.tally.counts).toMatchObject({ answered: 3, picked: 3, compared: 3 });
});

it('what a shadow itself runs makes nobody busy', async () => {
  using label = shadowedLabel();
  const { target, shadow, ask } = label;
  const answered = ask();
  await target.begun(1);
  target.ends[0]!();
  await answered;
  await shadow.begun(1);
  expect(shadow.served.demand()).toBe(0);
  shadow.ends[0]!();
  while (label.tally.counts.compared < 1) await pause(1);
});
