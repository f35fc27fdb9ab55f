import { status } from '@grpc/grpc-js';
import { RunnerError } from '@modelmill/runtime';
import type { RunResult, TensorData } from '@modelmill/runtime';
import { letGo, soleMemory, wholeMemory } from '@modelmill/wire';
import { gather, split } from './batch.js';
import type { Tensors } from './batch.js';
import type { CostCurve, ExecutionCost } from './batch-cost.js';
import { createBatcher } from './batcher.js';
import type { Batcher, BatcherOptions } from './batcher.js';
import type { CheckedRequest } from './infer-request.js';
import { createStatistics } from './statistics.js';

const tensor = (shape: number[], values: readonly number[]): TensorData => {
  const data = Float32Array.from(values);
  return { datatype: 'FP32', shape, data: new Uint8Array(data.buffer) };
};
const valuesOf = ({ data }: TensorData) => [...new Float32Array(new Uint8Array(data).buffer)];
const request = (shape: number[], values: readonly number[], rest: Partial<CheckedRequest> = {}): CheckedRequest => ({
  inputs: new Map([['x', tensor(shape, values)]]),
  outputs: undefined,
  rows: shape[0]!,
  queueTimeoutMs: undefined,
  classes: new Map(),
  priority: Infinity,
  ...rest,
});

const costOfAll = (curve: CostCurve): ExecutionCost => ({ whole: curve, compute: curve });

/** A model that negates, and executes when it is told to. */
function heldModel(options: Partial<BatcherOptions> = {}) {
  const executions: { inputs: Tensors; finish: (error?: Error) => void }[] = [];
  let underWay = 0;
  const batcher = createBatcher({
    model: 'm',
    batched: true,
    maxBatch: 8,
    maxQueue: 100,
    maxQueueBytes: 1e6,
    maxWaitMs: 60_000,
    runners: 1,
    sideBySide: 1,
    lanes: 1,
    cost: costOfAll([]),
    statistics: createStatistics(),
    execute: (inputs) =>
      new Promise<RunResult>((resolve, reject) => {
        underWay++;
        executions.push({ inputs, finish: (error) => (error ? reject(error) : resolve(negated(inputs))) });
      }).finally(() => underWay--),
    occupancy: () => ({ requests: underWay, idle: Math.max(0, (options.runners ?? 1) - underWay) }),
    ...options,
  });
  return { batcher, executions };
}

function negated(inputs: Tensors): RunResult {
  const x = inputs.get('x')!;
  return {
    outputs: new Map([
      [
        'y',
        tensor(
          x.shape,
          valuesOf(x).map((value) => -value),
        ),
      ],
    ]),
    computeNs: 1n,
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function reaching(executions: readonly unknown[], count: number) {
  while (executions.length < count) await turn();
}

describe('the memory of large messages', () => {
  const bytes = 2 ** 21;
  const large = (memory: Buffer): TensorData => ({
    datatype: 'UINT8',
    shape: [1, bytes / 2],
    data: memory.subarray(8),
  });
  const asking = (memory: Buffer): CheckedRequest => request([1, 1], [0], { inputs: new Map([['x', large(memory)]]) });
  const answering = (memory: Buffer): Partial<BatcherOptions> => ({
    execute: (inputs) => {
      const y = { ...large(memory), shape: [inputs.get('x')!.shape[0]!, 4], data: memory.subarray(8, 16) };
      return Promise.resolve({ outputs: new Map([['y', y]]), computeNs: 1n });
    },
  });

  it('is let go with the answer', async () => {
    const [asked, answered] = [soleMemory(bytes), wholeMemory(bytes)];
    const { batcher } = heldModel(answering(answered));
    await batcher.infer(asking(asked));
    expect(asked.length).toBe(0);
    letGo(answered);
    expect(answered.length).toBe(0);
  });

  it('stays for who observes', async () => {
    const [asked, answered] = [soleMemory(bytes), wholeMemory(bytes)];
    const { batcher } = heldModel(answering(answered));
    await batcher.infer(asking(asked), { observe: () => {} });
    letGo(answered);
    expect([asked.length, answered.length]).toEqual([bytes, bytes]);
  });

  it('stays where it holds the answers of several', async () => {
    const answered = wholeMemory(bytes);
    const { batcher } = heldModel({ ...answering(answered), maxQueueBytes: 1e8 });
    await Promise.all([soleMemory(bytes), soleMemory(bytes)].map((asked) => batcher.infer(asking(asked))));
    letGo(answered);
    expect(answered.length).toBe(bytes);
  });

  it('stays for another try where an execution fails', async () => {
    const asked = soleMemory(bytes);
    const { batcher } = heldModel({ execute: () => Promise.reject(new RunnerError('model', 'broken')) });
    await expect(batcher.infer(asking(asked))).rejects.toThrow('broken');
    expect(asked.length).toBe(bytes);
  });
});

describe('a batcher', () => {
  it('runs a lone request at once and alone', async () => {
    const { batcher, executions } = heldModel();
    const answer = batcher.infer(request([1, 2], [1, 2]));
    await reaching(executions, 1);
    executions[0]!.finish();
    expect(valuesOf((await answer).get('y')!)).toEqual([-1, -2]);
  });

  it('puts together what waited, and gives everyone their own rows', async () => {
    const { batcher, executions } = heldModel();
    const first = batcher.infer(request([1, 1], [1]));
    await turn();
    const others = [2, 3].map((value) => batcher.infer(request([2, 1], [value, value * 10])));
    executions[0]!.finish();
    await first;
    await reaching(executions, 2);
    expect(executions).toHaveLength(2);
    expect(executions[1]!.inputs.get('x')!.shape).toEqual([4, 1]);
    executions[1]!.finish();
    expect((await Promise.all(others)).map((answer) => valuesOf(answer.get('y')!))).toEqual([
      [-2, -20],
      [-3, -30],
    ]);
  });

  it('never mixes requests whose other dimensions differ', async () => {
    const { batcher, executions } = heldModel();
    const answers = [
      batcher.infer(request([1, 1], [1])),
      batcher.infer(request([1, 2], [2, 2])),
      batcher.infer(request([1, 1], [3])),
    ];
    await reaching(executions, 1);
    executions[0]!.finish();
    await answers[0];
    await reaching(executions, 2);
    executions[1]!.finish();
    expect((await Promise.all(answers)).map((answer) => valuesOf(answer.get('y')!))).toEqual([[-1], [-2, -2], [-3]]);
    expect(executions.map(({ inputs }) => inputs.get('x')!.shape)).toEqual([
      [2, 1],
      [1, 2],
    ]);
  });

  it('takes no more rows together than its limit, and more in one request', async () => {
    const { batcher, executions } = heldModel({ maxBatch: 3, lanes: 10 });
    const shapes = [2, 2, 1, 5];
    const answers = shapes.map((rows) => batcher.infer(request([rows, 1], Array<number>(rows).fill(rows))));
    await turn();
    expect(executions.map(({ inputs }) => inputs.get('x')!.shape[0])).toEqual([3, 2, 5]);
    executions.forEach(({ finish }) => finish());
    expect((await Promise.all(answers)).map((answer) => answer.get('y')!.shape[0])).toEqual(shapes);
  });

  it.each<[string, number, number, number, number, number[]]>([
    ['divides a burst among runners that are free', 2, 9, 1, 10, [5, 4]],
    ['divides what is more than a batch', 2, 14, 1, 10, [7, 7]],
    ['divides by rows', 2, 4, 2, 10, [4, 4]],
    ['gives all to one runner where a row in a part would be dear', 2, 8, 1, 0.01, [8]],
    ['decides for all of a burst alike', 3, 24, 1, 0.025, [8, 8, 8]],
    ['decides so for less than full batches, too', 4, 8, 1, 0.25, [8]],
  ])('%s', async (_, runners, requests, rows, msPerRow, batches) => {
    const curve = [1, 8].map((of) => ({ rows: of, ms: 1 + of * msPerRow }));
    const { batcher, executions } = heldModel({
      runners,
      sideBySide: runners,
      lanes: 2 * runners,
      cost: costOfAll(curve),
    });
    const answers = Array.from({ length: requests }, (_, i) =>
      batcher.infer(request([rows, 1], Array<number>(rows).fill(i))),
    );
    await turn();
    executions.forEach(({ finish }) => finish());
    expect((await Promise.all(answers)).map((answer) => valuesOf(answer.get('y')!)[0])).toEqual(
      Array.from({ length: requests }, (_, i) => -i),
    );
    expect(executions.map(({ inputs }) => inputs.get('x')!.shape[0])).toEqual(batches);
  });

  describe('while every runner has work', () => {
    const hundredMs = { lanes: 2, cost: costOfAll([{ rows: 8, ms: 100 }]) };
    const ask = (batcher: Batcher, count: number) =>
      Array.from({ length: count }, (_, i) => batcher.infer(request([1, 1], [i])));
    const rowsOf = (executions: readonly { readonly inputs: Tensors }[]) =>
      executions.map(({ inputs }) => inputs.get('x')!.shape[0]);

    it('gathers the next batch until one is done', async () => {
      const { batcher, executions } = heldModel(hundredMs);
      const answers = ask(batcher, 1);
      await turn();
      for (let i = 0; i < 3; i++) {
        answers.push(...ask(batcher, 1));
        await turn();
      }
      expect(rowsOf(executions)).toEqual([1]);
      executions[0]!.finish();
      await reaching(executions, 2);
      expect(rowsOf(executions)).toEqual([1, 3]);
      executions[1]!.finish();
      await Promise.all(answers);
    });

    it('has the next batch ready before the one under way should be done', async () => {
      const { batcher, executions } = heldModel(hundredMs);
      const began = performance.now();
      const answers = ask(batcher, 1);
      await turn();
      answers.push(...ask(batcher, 2));
      await reaching(executions, 2);
      const waited = performance.now() - began;
      expect(waited).toBeGreaterThan(50);
      expect(waited).toBeLessThan(1000);
      expect(rowsOf(executions)).toEqual([1, 2]);
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });

    it('does not hurry for a runner that has its next batch', async () => {
      const { batcher, executions } = heldModel({ ...hundredMs, runners: 2, sideBySide: 2, lanes: 4 });
      const answers = ask(batcher, 8);
      await pause(60);
      answers.push(...ask(batcher, 17));
      await turn();
      expect(rowsOf(executions)).toEqual([8, 8, 8]);
      const began = performance.now();
      await reaching(executions, 4);
      expect(performance.now() - began).toBeGreaterThan(70); // the first should end after 40 ms, the second after 100
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });

    it('gathers as long as what is ahead takes where executions share one device', async () => {
      const { batcher, executions } = heldModel({ ...hundredMs, runners: 2, lanes: 4 });
      const answers = ask(batcher, 8);
      await turn();
      answers.push(...ask(batcher, 9));
      const began = performance.now();
      await turn();
      expect(rowsOf(executions)).toEqual([8, 8]);
      await pause(100);
      executions[0]!.finish();
      await reaching(executions, 3);
      expect(performance.now() - began).toBeGreaterThan(150);
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });

    it('sends what waits earlier where sending takes longer', async () => {
      const cost = { whole: [{ rows: 8, ms: 100 }], compute: [{ rows: 8, ms: 20 }] };
      const { batcher, executions } = heldModel({ lanes: 2, cost });
      const answers = ask(batcher, 1);
      await turn();
      answers.push(...ask(batcher, 1));
      const began = performance.now();
      await reaching(executions, 2);
      expect(performance.now() - began).toBeLessThan(60); // 20 of 100
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });

    it('answers what gathers before it is drained, first what has a priority, and nothing that nobody wants', async () => {
      const { batcher, executions } = heldModel({ lanes: 2, cost: costOfAll([{ rows: 2, ms: 10_000 }]), maxBatch: 2 });
      const running = ask(batcher, 2);
      await turn();
      const caller = new AbortController();
      const ending = batcher.infer(request([1, 1], [3]), { signal: caller.signal });
      const gone = expect(ending).rejects.toThrow('went away');
      await turn();
      caller.abort();
      const urgent = batcher.infer(request([1, 1], [4], { priority: 1 }));
      const drained = batcher.drain();
      await turn();
      expect(executions.slice(1).map(({ inputs }) => valuesOf(inputs.get('x')!))).toEqual([[4]]);
      await gone;
      executions.forEach(({ finish }) => finish());
      await Promise.all([...running, urgent, drained]);
    });

    it('sends what waits at once where little more may wait', async () => {
      const { batcher, executions } = heldModel({ ...hundredMs, maxQueue: 2 });
      const answers = ask(batcher, 1);
      for (let i = 0; i < 2; i++) {
        await turn();
        answers.push(...ask(batcher, 1));
      }
      await turn();
      expect(rowsOf(executions)).toEqual([1, 1]);
      answers.push(...ask(batcher, 1)); // and is not refused
      executions.forEach(({ finish }) => finish());
      await reaching(executions, 3);
      executions[2]!.finish();
      await Promise.all(answers);
    });

    it('sends what waits at once where they work for others, too', async () => {
      const { batcher, executions } = heldModel({ ...hundredMs, occupancy: () => ({ requests: 3, idle: 0 }) });
      const answers = ask(batcher, 1);
      await turn();
      answers.push(...ask(batcher, 1));
      await turn();
      expect(rowsOf(executions)).toEqual([1, 1]);
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });

    it('does not take requests of other shapes for a full batch', async () => {
      const { batcher, executions } = heldModel(hundredMs);
      const answers = ask(batcher, 1);
      await turn();
      for (const columns of [1, 2]) {
        for (let i = 0; i < 4; i++) answers.push(batcher.infer(request([1, columns], Array<number>(columns).fill(i))));
      }
      await turn();
      expect(rowsOf(executions)).toEqual([1]);
      for (let done = 0; done < 3; done++) {
        await reaching(executions, done + 1);
        executions[done]!.finish();
      }
      await Promise.all(answers);
      expect(rowsOf(executions)).toEqual([1, 4, 4]);
    });

    it('sends a full batch at once', async () => {
      const { batcher, executions } = heldModel(hundredMs);
      const answers = ask(batcher, 1);
      await turn();
      answers.push(...ask(batcher, 8));
      await turn();
      expect(rowsOf(executions)).toEqual([1, 8]);
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });

    it('sends what cannot go with others at once', async () => {
      const { batcher, executions } = heldModel({ ...hundredMs, batched: false });
      const answers = ask(batcher, 1);
      await turn();
      answers.push(...ask(batcher, 1));
      await turn();
      expect(executions).toHaveLength(2);
      executions.forEach(({ finish }) => finish());
      await Promise.all(answers);
    });
  });

  it('does not divide a burst among runners that work for others', async () => {
    const occupancy = () => ({ requests: 1, idle: 1 });
    const { batcher, executions } = heldModel({ runners: 2, sideBySide: 2, lanes: 4, occupancy });
    const answers = Array.from({ length: 8 }, (_, i) => batcher.infer(request([1, 1], [i])));
    await turn();
    expect(executions.map(({ inputs }) => inputs.get('x')!.shape[0])).toEqual([8]);
    executions[0]!.finish();
    await Promise.all(answers);
  });

  it('does not divide what nobody waits for', async () => {
    const { batcher, executions } = heldModel({ runners: 2, sideBySide: 2, lanes: 2 });
    const answers = Array.from({ length: 6 }, () => batcher.infer(request([1, 1], [1]), { background: true }));
    await turn();
    expect(executions.map(({ inputs }) => inputs.get('x')!.shape[0])).toEqual([6]);
    executions.forEach(({ finish }) => finish());
    await Promise.all(answers);
  });

  it('keeps a bad request from failing those it was put together with', async () => {
    const { batcher, executions } = heldModel();
    const answers = [1, 2].map((value) => batcher.infer(request([1, 1], [value])));
    const settled = Promise.allSettled(answers);
    await reaching(executions, 1);
    executions[0]!.finish(new Error('bad batch'));
    await reaching(executions, 2);
    executions[1]!.finish();
    await reaching(executions, 3);
    executions[2]!.finish(new Error('bad request'));
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });

  it('runs requests apart where the model gives not one row per row', async () => {
    const single = { outputs: new Map([['y', tensor([1], [42])]]), computeNs: 1n };
    const { batcher } = heldModel({ execute: () => Promise.resolve(single) });
    const answers = await Promise.all([1, 2, 3].map((value) => batcher.infer(request([1, 1], [value]))));
    expect(answers.map((answer) => valuesOf(answer.get('y')!))).toEqual([[42], [42], [42]]);
  });

  it('refuses what is beyond its queue, by name, until there is room', async () => {
    const { batcher, executions } = heldModel({ maxQueue: 2, maxBatch: 1 });
    const first = batcher.infer(request([1, 1], [0]));
    await turn();
    const caller = new AbortController();
    const waiting = [
      batcher.infer(request([1, 1], [1])),
      batcher.infer(request([1, 1], [2]), { signal: caller.signal }),
    ];
    await expect(batcher.infer(request([1, 1], [3]))).rejects.toThrow('Exceeds maximum queue size');
    caller.abort();
    const late = batcher.infer(request([1, 1], [4]));
    await expect(waiting[1]).rejects.toThrow('the caller went away');
    executions[0]!.finish();
    await first;
    await reaching(executions, 2);
    executions[1]!.finish();
    await waiting[0];
    await reaching(executions, 3);
    executions[2]!.finish();
    expect(valuesOf((await late).get('y')!)).toEqual([-4]);
  });

  it('runs what has a priority before what has none, 1 first', async () => {
    const { batcher, executions } = heldModel({ maxBatch: 1 });
    const order: number[] = [];
    const ask = (value: number, priority: number) =>
      batcher.infer(request([1, 1], [value], { priority })).then(() => order.push(value));
    const all = [ask(0, Infinity), ask(1, Infinity), ask(2, 2), ask(3, 1), ask(4, 2)];
    for (let i = 0; i < all.length; i++) {
      while (executions[i] === undefined) await new Promise((resolve) => setImmediate(resolve));
      executions[i]!.finish();
    }
    await Promise.all(all);
    expect(order).toEqual([3, 2, 4, 0, 1]);
  });

  it('never runs what was cancelled or waited too long', async () => {
    const { batcher, executions } = heldModel();
    const first = batcher.infer(request([1, 1], [0]));
    await turn();
    const caller = new AbortController();
    const cancelled = batcher.infer(request([1, 1], [1]), { signal: caller.signal });
    const impatient = batcher.infer(request([1, 1], [2], { queueTimeoutMs: 0.000_001 }));
    caller.abort();
    executions[0]!.finish();
    await first;
    await expect(cancelled).rejects.toThrow('went away');
    await expect(impatient).rejects.toThrow('Request timeout expired');
    expect(executions).toHaveLength(1);
  });

  const within = (ms: number) => ({ deadline: Date.now() + ms });

  it('never runs what nobody waits for any more', async () => {
    const { batcher, executions } = heldModel();
    const first = batcher.infer(request([1, 1], [0]));
    await turn();
    const late = batcher.infer(request([1, 1], [1]), within(20));
    await pause(40);
    executions[0]!.finish();
    await expect(late).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await first;
    await turn();
    expect(executions).toHaveLength(1);
  });

  const hundredMsEach = { cost: costOfAll([{ rows: 1, ms: 100 }]), maxBatch: 1 };

  it('refuses at once what it cannot answer in time', async () => {
    const { batcher, executions } = heldModel(hundredMsEach);
    const first = batcher.infer(request([1, 1], [0]), within(10_000));
    await turn();
    const refused = batcher.infer(request([1, 1], [1]), within(190));
    await expect(refused).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      message: expect.stringMatching(/'m' is overloaded: an answer is expected in 200 ms, and wanted in 1\d\d ms/),
    });
    const taken = batcher.infer(request([1, 1], [2]), within(10_000));
    executions[0]!.finish();
    await reaching(executions, 2);
    executions[1]!.finish();
    expect([await first, await taken].map((answer) => valuesOf(answer.get('y')!))).toEqual([[-0], [-2]]);
  });

  it('looks past what waits behind a priority', async () => {
    const { batcher } = heldModel(hundredMsEach);
    const refused = () => batcher.infer(request([1, 1], [1]), within(250));
    for (let i = 0; i < 3; i++) void batcher.infer(request([1, 1], [0]));
    await expect(refused()).rejects.toThrow('overloaded');
    const first = Promise.race([batcher.infer(request([1, 1], [1], { priority: 1 }), within(250)), pause(50)]);
    await expect(first).resolves.toBeUndefined(); // it waits
  });

  it('tries what finds a runner free, whatever the forecast says', async () => {
    const { batcher, executions } = heldModel({ cost: costOfAll([{ rows: 1, ms: 60_000 }]) });
    const answer = batcher.infer(request([1, 1], [1]), within(500));
    await reaching(executions, 1);
    executions[0]!.finish();
    expect(valuesOf((await answer).get('y')!)).toEqual([-1]);
  });

  it('lets no queue stand that takes half of what callers wait', async () => {
    const { batcher } = heldModel({ cost: costOfAll([{ rows: 1, ms: 10 }]), maxBatch: 1 });
    for (let i = 0; i < 4; i++) void batcher.infer(request([1, 1], [0]));
    const burst = Promise.race([batcher.infer(request([1, 1], [1]), within(80)), turn()]);
    await expect(burst).resolves.toBeUndefined(); // 50 ms of 80
    await pause(120);
    await expect(batcher.infer(request([1, 1], [2]), within(80))).rejects.toThrow('overloaded');
  });

  it('bounds the bytes that wait, and makes room where a caller has gone', async () => {
    const { batcher, executions } = heldModel({ maxQueueBytes: 8 });
    void batcher.infer(request([1, 1], [0]));
    await turn();
    const caller = new AbortController();
    const gone = batcher.infer(request([1, 1], [1]), { signal: caller.signal });
    void batcher.infer(request([1, 1], [2]));
    const full = "Exceeds maximum queue size: model 'm' has 8 bytes of requests waiting";
    await expect(batcher.infer(request([1, 1], [3]))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      message: full,
    });
    caller.abort();
    const taken = batcher.infer(request([1, 1], [4]));
    await expect(gone).rejects.toMatchObject({ code: status.CANCELLED });
    executions[0]!.finish();
    await reaching(executions, 2);
    executions[1]!.finish();
    expect(valuesOf((await taken).get('y')!)).toEqual([-4]);
  });

  it('answers what it has taken before it is drained, and takes no more', async () => {
    const { batcher, executions } = heldModel();
    const answer = batcher.infer(request([1, 1], [1]));
    const drained = batcher.drain();
    await expect(batcher.infer(request([1, 1], [2]))).rejects.toThrow('Server is stopping');
    await reaching(executions, 1);
    executions[0]!.finish();
    expect(valuesOf((await answer).get('y')!)).toEqual([-1]);
    await drained;
  });

  it('runs what nobody waits for behind all others, with none of them, and counts it against none of them', async () => {
    const { batcher, executions } = heldModel({ maxQueue: 2 });
    const first = batcher.infer(request([1, 1], [1]));
    await reaching(executions, 1);
    const shadows = [2, 3].map((value) => batcher.infer(request([1, 1], [value]), { background: true }));
    expect(batcher.demand()).toBe(1);
    const others = [4, 5].map((value) => batcher.infer(request([1, 1], [value])));
    expect(batcher.demand()).toBe(3);
    await expect(batcher.infer(request([1, 1], [6]), { background: true })).rejects.toThrow('maximum queue size');
    executions[0]!.finish();
    await reaching(executions, 2);
    expect(valuesOf(executions[1]!.inputs.get('x')!)).toEqual([4, 5]);
    executions[1]!.finish();
    await reaching(executions, 3);
    expect(valuesOf(executions[2]!.inputs.get('x')!)).toEqual([2, 3]);
    expect(batcher.demand()).toBe(0);
    executions[2]!.finish();
    await Promise.all([first, ...shadows, ...others]);
  });

  it('ends one runner and no more for a batch that nobody waits for', async () => {
    const { batcher, executions } = heldModel();
    const told = Promise.allSettled(
      [1, 2, 3].map((value) => batcher.infer(request([1, 1], [value]), { background: true })),
    );
    await reaching(executions, 1);
    expect(executions[0]!.inputs.get('x')!.shape).toEqual([3, 1]);
    const timeout = new RunnerError('timeout', 'it took longer than 1 s');
    executions[0]!.finish(timeout);
    expect(await told).toEqual([1, 2, 3].map(() => ({ status: 'rejected', reason: timeout })));
    expect(executions).toHaveLength(1);
  });
});

describe('a batch', () => {
  it('splits into exactly what was gathered, for random rows and shapes', () => {
    let seed = 1;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 200; round++) {
      const rest = Array.from({ length: random(3) }, () => random(4));
      const size = rest.reduce((product, dim) => product * dim, 1);
      const requests = Array.from({ length: 1 + random(6) }, () => {
        const rows = random(4);
        const values = Array.from({ length: rows * size }, () => random(1000));
        return { inputs: new Map([['x', tensor([rows, ...rest], values)]]), rows };
      });
      const whole = gather(requests);
      const parts = split(
        whole,
        requests.map(({ rows }) => rows),
      );
      expect(parts?.map((part) => [part.get('x')!.shape, valuesOf(part.get('x')!)])).toEqual(
        requests.map(({ inputs }) => [inputs.get('x')!.shape, valuesOf(inputs.get('x')!)]),
      );
    }
  });

  it('splits strings at their own lengths', () => {
    const strings = (shape: number[], ...texts: string[]): TensorData => ({
      datatype: 'BYTES',
      shape,
      data: Buffer.concat(texts.flatMap((text) => [Buffer.of(Buffer.byteLength(text), 0, 0, 0), Buffer.from(text)])),
    });
    const requests = [
      { inputs: new Map([['x', strings([1, 2], 'a', '')]]), rows: 1 },
      { inputs: new Map([['x', strings([2, 2], 'bcd', 'é', '', 'f')]]), rows: 2 },
    ];
    const parts = split(gather(requests), [1, 2])!;
    expect(parts.map((part) => Buffer.from(part.get('x')!.data))).toEqual(
      requests.map(({ inputs }) => Buffer.from(inputs.get('x')!.data)),
    );
  });

  it('of no rows at all splits into nothing each', () => {
    expect(split(new Map([['y', tensor([0, 2], [])]]), [0, 0])?.map((part) => part.get('y')!.shape)).toEqual([
      [0, 2],
      [0, 2],
    ]);
  });
});
