import { asJson, brokenPromises } from './outcome.js';
import type { Outcome, VersionFigures } from './outcome.js';

const figures = (changes: Partial<VersionFigures>): VersionFigures => ({
  version: '1',
  method: 'trained',
  accuracy: 0.985,
  sizeBytes: 250_000,
  parameters: 60_000,
  sparsity: 0,
  p50Ms: 0.1,
  p99Ms: 0.2,
  ...changes,
});

const good: Outcome = {
  versions: {
    trained: figures({}),
    int8: figures({ version: '2', accuracy: 0.98 }),
    pruned: figures({ version: '3', accuracy: 0.975, sparsity: 0.8 }),
    student: figures({ version: '4', accuracy: 0.965, parameters: 6_000 }),
  },
  stable: { version: '2', rule: 'the smallest' },
  ready: true,
  answersEqual: true,
  answers: [{ call: 'gRPC', digit: 0, version: '2' }],
  example: { pixels: [], digit: 0 },
  seconds: 40,
};
const but = (changes: Partial<Outcome>) => brokenPromises({ ...good, ...changes });
const withVersion = (role: keyof Outcome['versions'], changes: Partial<VersionFigures>) =>
  but({ versions: { ...good.versions, [role]: { ...good.versions[role], ...changes } } });

describe('the demo', () => {
  it('holds at its bounds', () => expect(brokenPromises(good)).toEqual([]));

  it.each([
    [withVersion('trained', { accuracy: 0.979 }), 'accuracy of the trained version is 0.9790, wanted at least 0.9800'],
    [withVersion('int8', { accuracy: 0.979 }), 'accuracy of the int8 version is 0.9790, wanted at least 0.9800'],
    [withVersion('pruned', { accuracy: 0.974 }), 'accuracy of the pruned version is 0.9740, wanted at least 0.9750'],
    [withVersion('pruned', { sparsity: 0.7 }), 'sparsity of the pruned version is 0.7000, wanted at least 0.8000'],
    [withVersion('student', { accuracy: 0.96 }), 'accuracy of the student is 0.9600, wanted at least 0.9650'],
    [withVersion('student', { parameters: 6_001 }), 'the student has 6001 parameters, wanted at most a tenth of 60000'],
    [but({ ready: false }), 'no ready event for version 2'],
    [but({ answersEqual: false }), 'the three doors answered differently'],
    [but({ stable: { ...good.stable, version: '3' } }), 'gRPC ran version 2, stable is 3'],
    [but({ answers: [{ call: 'gRPC', digit: 8 }] }), 'the digit is a 0, and was not recognized'],
  ])('breaks its promise: %j', (broken, message) => expect(broken).toEqual([message]));

  it('tells its figures as JSON', () =>
    expect(asJson(good)).toMatchObject({
      accuracy: { trained: 0.985, int8: 0.98, pruned: 0.975, student: 0.965 },
      sparsity: 0.8,
      parameters: { trained: 60_000, student: 6_000 },
      latencyMs: { int8: { p50: 0.1, p99: 0.2 } },
      stable: { version: '2' },
      ready: true,
      answersEqual: true,
      seconds: 40,
    }));
});
