import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { status } from '@grpc/grpc-js';
import { registry, serving } from '@modelmill/contracts';
import { RpcError, baseConfig, readConfig, serve, startTelemetry, unary } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';
import { followReplicas } from './replica-set.js';
import { servingCalls } from './serving-calls.js';

jest.setTimeout(60_000);

const setAt = new Date('2026-11-01T00:00:00.123Z');
const model = registry.Model.fromPartial({
  name: 'm',
  labels: [
    { name: 'stable', targets: [{ version: '1', weight: 1 }], shadow: { version: '2', share: 1, setAt } },
    { name: 'plain', targets: [{ version: '1', weight: 1 }] },
  ],
});

type Answer = (signal: AbortSignal) => Promise<serving.GetShadowComparisonResponse>;

const told = (answered: number, at = setAt): Answer => {
  const comparison = serving.ShadowComparison.fromPartial({ setAt: at, answered: BigInt(answered), replicas: 1 });
  return () => Promise.resolve({ comparison });
};
const failing =
  (code: status): Answer =>
  () =>
    Promise.reject(new RpcError(code, `told ${status[code]}`));
const never: Answer = (signal) => new Promise((_, reject) => signal.addEventListener('abort', reject));

describe('how a shadow compares, by all replicas', () => {
  let telemetry: Telemetry;
  beforeAll(async () => {
    telemetry = await startTelemetry('test', readConfig(baseConfig, { MILL_LOG_LEVEL: 'silent' }));
  });
  afterAll(() => telemetry[Symbol.asyncDispose]());

  const start = (answer: Answer) =>
    serve({ listen: '127.0.0.1:0', drainMs: 10, telemetry }, [
      [serving.ServingService, { getShadowComparison: unary((_, stop) => answer(stop), telemetry) }],
    ]);

  /** Asks real servers that answer so, and those that are at these addresses. */
  async function ask(answers: readonly Answer[], { label = 'stable', others = [] as string[], signal = quiet } = {}) {
    const servers = await Promise.all(answers.map(start));
    const addresses = [...others, ...servers.map(({ port }) => `127.0.0.1:${port}`)];
    const list = addresses.map((address) => ({
      service: 'inference',
      replica: address,
      address,
      models: [],
      seenAt: new Date(),
    }));
    using replicas = await followReplicas(
      'inference',
      {
        announce: () => Promise.reject(new Error('nobody announces here')),
        list: () => Promise.resolve(list),
        watch: () => ({ [Symbol.asyncDispose]: () => Promise.resolve() }),
      },
      () => false,
      () => {},
    );
    try {
      const calls = servingCalls({ model: () => Promise.resolve(model) }, replicas);
      return (await calls.getShadowComparison({ model: 'm', label }, signal)).comparison;
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
  }

  const quiet = new AbortController().signal;

  it('is the sum of what they tell', async () => {
    const all = await ask([told(3), told(4)]);
    expect(all).toMatchObject({ replicas: 2, answered: 7n, model: 'm', label: 'stable', version: '2', setAt });
  });

  it('leaves out replicas that tell of another setting, or of none yet', async () => {
    const before = new Date(setAt.getTime() - 1);
    const none: Answer = () => Promise.resolve({ comparison: undefined });
    const answers = [told(3), told(100, before), none, failing(status.NOT_FOUND), failing(status.UNIMPLEMENTED)];
    expect(await ask(answers)).toMatchObject({ replicas: 1, answered: 3n });
  });

  it('leaves out replicas that are gone, or answer too late', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const gone = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await new Promise((resolve) => server.close(resolve));
    const all = await ask([told(3), never, failing(status.UNAVAILABLE)], { others: [gone] });
    expect(all).toMatchObject({ replicas: 1, answered: 3n });
    expect(await ask([], { others: [gone] })).toMatchObject({ replicas: 0, answered: 0n });
  });

  it('fails where a replica fails in any other way', async () => {
    await expect(ask([told(3), failing(status.PERMISSION_DENIED)])).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      message: 'told PERMISSION_DENIED',
    });
  });

  it('fails for a caller that has gone, also where a replica is away', async () => {
    const caller = new AbortController();
    const slow: Answer = async (signal) => {
      caller.abort();
      return never(signal);
    };
    const asked = ask([told(3), slow, failing(status.UNAVAILABLE)], { signal: caller.signal });
    await expect(asked).rejects.toMatchObject({ code: status.CANCELLED });
  });

  it.each([
    ['no such label', 'none', "model 'm' has no label 'none'"],
    ['a label without a shadow', 'plain', "label 'plain' of model 'm' has no shadow"],
  ])('is not found for %s', async (_, label, message) => {
    await expect(ask([told(3)], { label })).rejects.toMatchObject({ code: status.NOT_FOUND, message });
  });
});
