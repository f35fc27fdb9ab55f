import type { Replica, ReplicaModel } from '@modelmill/store';
import { followReplicas } from './replica-set.js';

const replicaOf = (address: string, ...models: ReplicaModel[]): Replica => ({
  service: 'inference',
  replica: address,
  address,
  models,
  seenAt: new Date(),
});

const held = (model: string, cold?: boolean): ReplicaModel => ({ model, version: '1', labels: ['stable'], cold });

const follow = (replicas: readonly Replica[]) =>
  followReplicas(
    'inference',
    {
      announce: () => Promise.reject(new Error('nobody announces here')),
      list: () => Promise.resolve([...replicas]),
      watch: () => ({ [Symbol.asyncDispose]: () => Promise.resolve() }),
    },
    () => false,
    () => {},
  );

describe('the replicas of a service', () => {
  it('are asked for a model where it is in memory, until those are much busier than one that had to load it', async () => {
    using set = await follow([
      replicaOf('127.0.0.1:1', held('digits', true), held('other')),
      replicaOf('127.0.0.1:2', held('digits')),
      replicaOf('127.0.0.1:3', held('other')),
    ]);
    const picks = (model: string) => new Set(Array.from({ length: 50 }, () => set.pick({ model, version: 'stable' })));
    const addresses = (model: string) => [...picks(model)].map(({ replica }) => replica.address).sort();
    expect(addresses('digits')).toEqual(['127.0.0.1:2']);
    expect(addresses('other')).toEqual(['127.0.0.1:1', '127.0.0.1:3']);
    const [warm] = picks('digits');
    warm!.inFlight = 16;
    expect(addresses('digits')).toEqual(['127.0.0.1:2']);
    warm!.inFlight = 17;
    expect(addresses('digits')).toEqual(['127.0.0.1:1']);
    expect(set.pick({ model: 'digits', version: '' }, set.pick({ model: 'digits', version: '' })).replica.address).toBe(
      '127.0.0.1:2',
    );
  });

  it('are asked for a model that none has in memory all the same', async () => {
    using set = await follow([replicaOf('127.0.0.1:1', held('digits', true)), replicaOf('127.0.0.1:2')]);
    expect(set.pick({ model: 'digits', version: '1' }).replica.address).toBe('127.0.0.1:1');
    expect(set.serves({ model: 'digits', version: '' })).toBe(true);
  });

  it('are none', async () => {
    using set = await follow([]);
    expect(() => set.pick({ model: 'digits', version: '' })).toThrow('no replica of inference is up');
  });
});
