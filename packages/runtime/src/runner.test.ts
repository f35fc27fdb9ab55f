import { closeSync, fstatSync, openSync } from 'node:fs';
import { mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  allocating,
  doubling,
  externalData,
  float,
  functionChain,
  half,
  int64,
  looping,
  model,
  node,
  string,
  value,
} from './models-for-tests.js';
import { probation } from './probation.js';
import { startRunnerPool } from './runner-pool.js';
import type { RunnerEvent } from './runner-pool.js';
import { startRunner } from './runner.js';
import { openSession } from './session.js';
import type { TensorArray, TensorData } from './tensor.js';
import { decodeStrings, encodeStrings } from './tensor.js';

let directory: string;
const file = (name: string) => join(directory, `${name}.onnx`);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'runner-test-'));
  const files = {
    doubling: doubling(),
    halves: doubling(half),
    integers: doubling(int64),
    strings: model({
      nodes: [node('Identity', ['x'], ['y'])],
      inputs: [value('x', string, ['n'])],
      outputs: [value('y', string, ['n'])],
    }),
    looping: looping(),
    chain: functionChain(3000),
    allocating: allocating(),
    external: externalData('doubling.onnx', 16),
    rubbish: Buffer.from('<html>'),
  };
  await Promise.all(Object.entries(files).map(([name, bytes]) => writeFile(file(name), bytes)));
});

afterAll(() => rm(directory, { recursive: true }));

const raw = (array: Exclude<TensorArray, string[]>) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const floats = (...values: number[]): TensorData => ({
  datatype: 'FP32',
  shape: [values.length / 2, 2],
  data: raw(Float32Array.from(values)),
});
const loop = (trips: bigint) =>
  new Map<string, TensorData>([
    ['trips', { datatype: 'INT64', shape: [], data: raw(BigInt64Array.of(trips)) }],
    ['x', { datatype: 'FP32', shape: [1], data: raw(Float32Array.of(7)) }],
  ]);
const sizes = (count: bigint) =>
  new Map<string, TensorData>([['sizes', { datatype: 'INT64', shape: [1], data: raw(BigInt64Array.of(count)) }]]);

describe('a runner', () => {
  it.each([2 ** 15, 2 ** 18, 2 ** 22, 2 ** 25])(
    'takes and gives tensors of %i floats, many at a time',
    async (count) => {
      await using runner = await startRunner({});
      await runner.load('m', file('doubling'));
      const requests = Array.from({ length: count > 2 ** 22 ? 2 : 7 }, (_, i) => {
        const data = new Float32Array(count).fill(i + 1);
        data[count - 1] = i + 0.5;
        return runner.run('m', new Map([['x', { datatype: 'FP32', shape: [count / 2, 2], data: raw(data) }]]));
      });
      for (const [i, { outputs }] of (await Promise.all(requests)).entries()) {
        const { shape, data } = outputs.get('y')!;
        const got = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
        expect([shape, got.length, got[0], got[count >> 1], got[count - 1]]).toEqual([
          [count / 2, 2],
          count,
          2 * (i + 1),
          2 * (i + 1),
          2 * i + 1,
        ]);
      }
    },
  );

  it('takes models of an operator set of before sequences', async () => {
    const old = model(
      {
        nodes: [node('Add', ['x', 'x'], ['y'])],
        inputs: [value('x', float, ['n', 2])],
        outputs: [value('y', float, ['n', 2])],
      },
      [],
      9,
    );
    await writeFile(file('old'), old);
    await using runner = await startRunner({});
    await runner.load('m', file('old'));
    for (const first of [1, 2]) {
      const data = new Float32Array(2 ** 18).fill(first);
      const { outputs } = await runner.run(
        'm',
        new Map([['x', { datatype: 'FP32', shape: [2 ** 17, 2], data: raw(data) }]]),
      );
      expect(Buffer.from(outputs.get('y')!.data).readFloatLE(2 ** 18)).toBe(2 * first);
    }
  });

  it('gives what ONNX Runtime gives in process', async () => {
    await using runner = await startRunner({});
    await using session = await openSession(file('doubling'));
    const { inputs, outputs, provider } = await runner.load('m', file('doubling'));
    expect({ inputs, outputs, provider }).toEqual({
      inputs: session.inputs,
      outputs: session.outputs,
      provider: 'cpu',
    });
    const { outputs: got, computeNs } = await runner.run('m', new Map([['x', floats(1, 2, 3, 4.25)]]));
    const want = await session.run({ x: { dims: [2, 2], data: Float32Array.of(1, 2, 3, 4.25) } });
    expect(Buffer.from(got.get('y')!.data)).toEqual(Buffer.from(raw(want['y']!.data as Float32Array)));
    expect(got.get('y')).toMatchObject({ datatype: 'FP32', shape: [2, 2] });
    expect(computeNs).toBeGreaterThan(0n);
  });

  it('carries 64-bit integers, half floats and strings exactly', async () => {
    await using runner = await startRunner({});
    for (const name of ['integers', 'halves', 'strings']) await runner.load(name, file(name));
    const integers: TensorData = { datatype: 'INT64', shape: [1, 2], data: raw(BigInt64Array.of(2n ** 62n - 1n, -3n)) };
    const { outputs } = await runner.run('integers', new Map([['x', integers]]));
    expect(Buffer.from(outputs.get('y')!.data).readBigInt64LE(0)).toBe(2n ** 63n - 2n);
    const halves: TensorData = { datatype: 'FP16', shape: [1, 2], data: raw(Uint16Array.of(0x3c00, 0xc000)) };
    const doubled = await runner.run('halves', new Map([['x', halves]]));
    expect([...doubled.outputs.get('y')!.data]).toEqual([0x00, 0x40, 0x00, 0xc4]);
    const texts = ['', 'a', 'Grüße, 世界!'];
    const strings: TensorData = { datatype: 'BYTES', shape: [3], data: encodeStrings(texts) };
    const echoed = await runner.run('strings', new Map([['x', strings]]));
    expect(decodeStrings(echoed.outputs.get('y')!.data)).toEqual(texts);
  });

  it.each([
    ['a NUL', Buffer.from('a\0b'), 'string 0 holds a NUL'],
    ['bytes that are not UTF-8', Buffer.of(0xff, 0xfe), 'string 0 is not UTF-8'],
  ])('refuses a string with %s instead of changing it', async (_, bytes, message) => {
    await using runner = await startRunner({});
    await runner.load('strings', file('strings'));
    const x: TensorData = { datatype: 'BYTES', shape: [1], data: encodeStrings([bytes]) };
    await expect(runner.run('strings', new Map([['x', x]]))).rejects.toMatchObject({
      kind: 'model',
      message: expect.stringContaining(message) as string,
    });
  });

  it('carries tensors of 64 MiB', async () => {
    await using runner = await startRunner({});
    await runner.load('m', file('doubling'));
    const data = new Float32Array(2 ** 24).map((_, index) => index % 1000);
    const x: TensorData = { datatype: 'FP32', shape: [2 ** 23, 2], data: raw(data) };
    const { outputs } = await runner.run('m', new Map([['x', x]]));
    const doubled = new Float32Array(new Uint8Array(outputs.get('y')!.data).buffer);
    expect(doubled.every((number, index) => number === 2 * data[index]!)).toBe(true);
  });

  it('has an empty working directory and no environment of ours', async () => {
    await using runner = await startRunner({});
    const environment = (await readFile(`/proc/${runner.pid}/environ`, 'latin1')).split('\0').filter(Boolean);
    expect(
      environment.filter((entry) => !/^(ORT_DISABLE_TELEMETRY=1|MALLOC_|PWD=|_=|SHLVL=|OLDPWD)/.test(entry)),
    ).toEqual([]);
    expect(await readdir(await readlink(`/proc/${runner.pid}/cwd`))).toEqual([]);
  });

  it.each([
    ['a file that is no model', 'rubbish'],
    ['a model with its weights in another file, even one beside it', 'external'],
  ])('refuses %s, tells no path, and answers on', async (_, name) => {
    await using runner = await startRunner({});
    const refusal = await runner.load('bad', file(name)).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ name: 'RunnerError', kind: 'model' });
    expect((refusal as Error).message).not.toMatch(/\/[a-z_]+\/|\.cc|\.onnx/);
    await runner.load('m', file('doubling'));
    expect((await runner.run('m', new Map([['x', floats(1, 1)]]))).outputs.size).toBe(1);
  });

  it('tells a request that does not fit from a model that is not there', async () => {
    await using runner = await startRunner({});
    await runner.load('m', file('doubling'));
    await expect(runner.run('none', new Map())).rejects.toMatchObject({
      kind: 'refused',
      message: "model 'none' is not loaded",
    });
    await expect(runner.run('m', new Map())).rejects.toMatchObject({ kind: 'model' });
  });

  it('drops what its caller no longer wants', async () => {
    await using runner = await startRunner({ requestTimeoutMs: 60_000 });
    await runner.load('slow', file('looping'));
    const caller = new AbortController();
    const inputs = loop(200_000n);
    const answers = [1, 2, 3, 4].map(() => runner.run('slow', inputs, undefined, caller.signal));
    const settled = Promise.allSettled(answers);
    caller.abort();
    for (const answer of await settled) expect(answer).toMatchObject({ reason: { kind: 'cancelled' } });
    expect((await runner.run('slow', loop(1n))).outputs.get('y')!.shape).toEqual([1]);
  });

  it('measures cases in alternation', async () => {
    await using runner = await startRunner({});
    await runner.load('m', file('doubling'));
    const inputs = new Map([['x', floats(1, 1)]]);
    const times = await runner.measure(
      [
        { id: 'm', inputs },
        { id: 'm', inputs },
      ],
      { rounds: 5, warmup: 2 },
    );
    expect(times.map(({ length }) => length)).toEqual([5, 5]);
    expect(times.flat().every((ms) => ms > 0)).toBe(true);
  });

  it('is killed when it takes more memory than it may', async () => {
    await using runner = await startRunner({ memoryLimitBytes: 512 * 2 ** 20 });
    await runner.load('greedy', file('allocating'));
    await expect(runner.run('greedy', sizes(2n ** 29n))).rejects.toMatchObject({ kind: 'memory' });
  });

  it('gives a plain error where more is asked for than any machine has', async () => {
    await using runner = await startRunner({});
    await runner.load('greedy', file('allocating'));
    await expect(runner.run('greedy', sizes(10n ** 12n))).rejects.toMatchObject({ kind: 'memory' });
    expect((await runner.run('greedy', sizes(3n))).outputs.get('y')!.shape).toEqual([3]);
  });
});

describe('a runner that was killed', () => {
  it('has its large requests written to no other file', async () => {
    await using runner = await startRunner({});
    await runner.load('m', file('doubling'));
    const folder = await mkdtemp(join(tmpdir(), 'mill-killed-'));
    const large = new Map([['x', { datatype: 'FP32', shape: [2 ** 18], data: new Uint8Array(2 ** 20).fill(7) }]]);
    const links = await readdir('/proc/self/fd').then((all) =>
      Promise.all(
        all.map(async (name) => [Number(name), await readlink(`/proc/self/fd/${name}`).catch(() => '')] as const),
      ),
    );
    const exchange = new Set(
      links.filter(([, link]) => link.includes('mill-exchange-')).map(([descriptor]) => descriptor),
    );
    process.kill(runner.pid, 'SIGKILL');
    const opened: number[] = [];
    const open = () => opened.push(openSync(join(folder, String(opened.length)), 'w'));
    for (open(); !exchange.has(opened.at(-1)!); open()) await new Promise((resolve) => setImmediate(resolve));
    open(); // both numbers are taken now
    const runs = await Promise.allSettled([runner.run('m', large), runner.run('m', large)]);
    expect(runs.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(opened.map((descriptor) => fstatSync(descriptor).size)).toEqual(opened.map(() => 0));
    opened.forEach((descriptor) => closeSync(descriptor));
    await rm(folder, { recursive: true });
  });
});

describe('a pool of runners', () => {
  it('kills a loop of 2^62 turns at its deadline and answers again at once', async () => {
    await using pool = await startRunnerPool({ runners: 1, requestTimeoutMs: 2000 });
    await pool.load('loop', file('looping'));
    await pool.load('m', file('doubling'));
    const stuck = pool.run('loop', loop(2n ** 62n)).catch((error: unknown) => error);
    const behind = pool.run('m', new Map([['x', floats(1, 2)]]));
    expect(await stuck).toMatchObject({ kind: 'timeout' });
    const begun = performance.now();
    expect((await behind).outputs.get('y')!.shape).toEqual([1, 2]);
    expect((await pool.run('loop', loop(1n))).outputs.get('y')!.shape).toEqual([1]);
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  it('gives what comes at once to one runner each', async () => {
    await using pool = await startRunnerPool({ runners: 2 });
    await pool.load('loop', file('looping'));
    await pool.load('m', file('doubling'));
    const order: string[] = [];
    const rounds = await roundsIn100ms((count) => pool.run('loop', loop(count)));
    await Promise.all([
      pool.run('loop', loop(4n * rounds)).then(() => order.push('long')),
      pool.run('m', new Map([['x', floats(1, 2)]])).then(() => order.push('short')),
    ]);
    expect(order).toEqual(['short', 'long']);
  });

  it('gives what comes next to the runner that should be free first', async () => {
    await using pool = await startRunnerPool({ runners: 2 });
    await pool.load('loop', file('looping'));
    await pool.load('m', file('doubling'));
    const order: string[] = [];
    const rounds = await roundsIn100ms((count) => pool.run('loop', loop(count)));
    const run = (name: string, times: bigint) =>
      pool
        .run('loop', loop(times * rounds), undefined, { expectedMs: 100 * Number(times) })
        .then(() => order.push(name));
    const long = run('long', 8n);
    const short = run('short', 2n);
    const next = pool.run('m', new Map([['x', floats(1, 2)]])).then(() => order.push('next'));
    expect(pool.occupancy()).toEqual({ requests: 3, idle: 0 });
    await Promise.all([short, next]);
    expect(pool.occupancy()).toEqual({ requests: 1, idle: 1 });
    await long;
    expect(order).toEqual(['short', 'next', 'long']);
  });

  it('gives what comes next to the runner that has been at it for longer, where that is not known', async () => {
    await using pool = await startRunnerPool({ runners: 2 });
    await pool.load('loop', file('looping'));
    await pool.load('m', file('doubling'));
    const order: string[] = [];
    const run = (name: string, id: string, inputs: Map<string, TensorData>) =>
      pool.run(id, inputs).then(() => order.push(name));
    const rounds = await roundsIn100ms((count) => pool.run('loop', loop(count)));
    const short = run('short', 'loop', loop(rounds));
    const long = run('long', 'loop', loop(4n * rounds));
    await short;
    const later = run('later', 'loop', loop(8n * rounds));
    const next = run('next', 'm', new Map([['x', floats(1, 2)]]));
    await Promise.all([long, later, next]);
    expect(order).toEqual(['short', 'long', 'next', 'later']);
  });

  it('loses no request of others when a runner is killed again and again', async () => {
    const ended: RunnerEvent[] = [];
    await using pool = await startRunnerPool({
      runners: 2,
      onRunner: (event) => void (event.kind === 'exited' && ended.push(event)),
    });
    await pool.load('m', file('doubling'));
    const inputs = new Map([['x', floats(1, 2)]]);
    let answered = 0;
    for (let round = 0; round < 4; round++) {
      const answers = Array.from({ length: 100 }, () => pool.run('m', inputs));
      process.kill(pool.pids()[round % pool.pids().length]!, 'SIGKILL');
      answered += (await Promise.all(answers)).length;
    }
    expect(answered).toBe(400);
    expect(ended.length).toBeGreaterThanOrEqual(3);
  });

  it('answers all the same when every runner is killed at once', async () => {
    await using pool = await startRunnerPool({ runners: 3 });
    await pool.load('m', file('doubling'));
    for (let round = 0; round < 4; round++) {
      for (const pid of pool.pids()) process.kill(pid, 'SIGKILL');
      const { outputs } = await pool.run('m', new Map([['x', floats(1, 2)]]));
      expect(outputs.get('y')!.shape).toEqual([1, 2]);
    }
  });

  it('counts no runner as idle that loads, or has ended', async () => {
    await using pool = await startRunnerPool({ runners: 2 });
    expect(pool.occupancy()).toEqual({ requests: 0, idle: 2 });
    const loading = pool.load('m', file('doubling'));
    await Promise.resolve();
    await Promise.resolve();
    expect(pool.occupancy().idle).toBeLessThan(2);
    await loading;
    expect(pool.occupancy()).toEqual({ requests: 0, idle: 2 });
    process.kill(pool.pids()[0]!, 'SIGKILL');
    while (pool.occupancy().idle === 2) await new Promise((resolve) => setImmediate(resolve));
    await pool.run('m', new Map([['x', floats(1, 2)]]));
    while (pool.occupancy().idle < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(pool.occupancy().requests).toBe(0);
  });

  it('goes on without a model that ends its runner while it is loaded', async () => {
    await using pool = await startRunnerPool({ runners: 2 });
    await pool.load('m', file('doubling'));
    await expect(pool.load('chain', file('chain'))).rejects.toMatchObject({ kind: 'crashed' });
    expect([...pool.models().keys()]).toEqual(['m']);
    expect((await pool.run('m', new Map([['x', floats(1, 2)]]))).outputs.size).toBe(1);
  });

  it('refuses what was unloaded, and everything once it is closed', async () => {
    const pool = await startRunnerPool({ runners: 1 });
    await pool.load('m', file('doubling'));
    await pool.unload('m');
    await expect(pool.run('m', new Map())).rejects.toMatchObject({ kind: 'refused' });
    await pool[Symbol.asyncDispose]();
    await expect(pool.run('m', new Map())).rejects.toMatchObject({ kind: 'refused' });
  });
});

async function roundsIn100ms(run: (count: bigint) => Promise<unknown>): Promise<bigint> {
  for (let count = 1000n; ; count *= 2n) {
    const begun = performance.now();
    await run(count);
    if (performance.now() - begun > 100) return count;
  }
}

describe('probation', () => {
  it('passes a model that loads and runs', async () => {
    expect(await probation(file('doubling'))).toMatchObject({ provider: 'cpu' });
  });

  it('survives a chain of functions that takes its process down', async () => {
    await expect(probation(file('chain'))).rejects.toMatchObject({ kind: 'crashed' });
  });

  it('refuses a model that cannot be loaded', async () => {
    await expect(probation(file('rubbish'))).rejects.toMatchObject({ kind: 'model' });
  });
});
