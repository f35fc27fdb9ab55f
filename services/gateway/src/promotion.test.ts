import { registry } from '@modelmill/contracts';
import { choose } from './promotion.js';

const { VERSION_STATE_ADMITTED, VERSION_STATE_REGISTERED } = registry.VersionState;

const version = (
  number: string,
  accuracy: number | undefined,
  sizeBytes: bigint,
  more: Partial<registry.Version> = {},
) =>
  registry.Version.fromPartial({
    model: 'digits',
    version: number,
    state: VERSION_STATE_ADMITTED,
    sizeBytes,
    metrics: accuracy === undefined ? {} : { accuracy },
    ...more,
  });

const model = (...versions: registry.Version[]) => registry.Model.fromPartial({ name: 'digits', versions });
const rule = (baseline: string, maxAccuracyDrop: number, minimize = 'size_bytes', metric = '') => ({
  baseline,
  maxAccuracyDrop,
  minimize,
  metric,
});

describe('the promotion rule', () => {
  const four = model(
    version('1', 0.985, 100_000n),
    version('2', 0.983, 30_000n),
    version('3', 0.97, 10_000n),
    version('4', 0.99, 5_000n, { state: VERSION_STATE_REGISTERED }),
  );

  it('takes the smallest version within the bound of the baseline', () =>
    expect(choose(four, rule('1', 0.005)).version).toBe('2'));

  it('takes a version exactly at the bound', () => expect(choose(four, rule('1', 0.015)).version).toBe('3'));

  it('measures against the most accurate admitted version when no baseline is named', () =>
    expect(choose(four, rule('', 0)).version).toBe('1'));

  it('tells for every version how it fared, in words with figures', () => {
    const { candidates } = choose(four, rule('1', 0.005));
    expect(candidates.map(({ version, eligible }) => [version, eligible])).toEqual([
      ['1', true],
      ['2', true],
      ['3', false],
      ['4', false],
    ]);
    expect(candidates[2]!.reason).toBe(
      "accuracy 0.97 is 1.5 points below version 1's 0.985, 0.5 points allowed; size_bytes 10000",
    );
    expect(candidates[3]!.reason).toBe('it is registered, not admitted');
  });

  it('prefers accuracy, then the newer one, among versions of one size', () =>
    expect(
      choose(model(version('1', 0.9, 10n), version('2', 0.95, 10n), version('3', 0.95, 10n)), rule('1', 0.5)).version,
    ).toBe('3'));

  it('leaves out versions that lack the metric', () => {
    const timed = model(version('1', 0.9, 1n), version('2', 0.9, 2n, { metrics: { accuracy: 0.9, p50_ms: 3 } }));
    const { version: chosen, candidates } = choose(timed, rule('1', 0.1, 'p50_ms'));
    expect(chosen).toBe('2');
    expect(candidates[0]).toEqual({ version: '1', eligible: false, reason: 'it has no metric p50_ms' });
  });

  it.each([
    ['r2', [0.8, 0.78, 0.7], 0.05, "r2 0.78 is 0.02 below version 1's 0.8, 0.05 allowed; size_bytes 20"],
    ['perplexity', [4, 4.06, 5], 0.02, "perplexity 4.06 is 1.5 % above version 1's 4, 2 % allowed; size_bytes 20"],
  ] as const)('goes by %s where that counts', (metric, values, drop, reason) => {
    const made = values.map((value, i) =>
      version(String(i + 1), undefined, BigInt(30 - 10 * i), { metrics: { [metric]: value } }),
    );
    const { version: chosen, candidates } = choose(model(...made), rule('', drop, 'size_bytes', metric));
    expect(chosen).toBe('2');
    expect(candidates[1]!.reason).toBe(reason);
    expect(candidates[2]!.eligible).toBe(false);
  });

  it('never takes a version that was measured slower than its parent, however small', () => {
    const slow = { metrics: { accuracy: 0.98, speedup: 0.62, slower_than_parent: 1 } };
    const noisy = { metrics: { accuracy: 0.98, speedup: 0.98, slower_than_parent: 0 } };
    const made = model(version('1', 0.98, 100n), version('2', 0, 1n, slow), version('3', 0, 50n, noisy));
    const { version: chosen, candidates } = choose(made, rule('1', 0.01));
    expect(chosen).toBe('3');
    expect(candidates[1]).toEqual({
      version: '2',
      eligible: false,
      reason: 'it is slower than its parent: 0.62 times as fast',
    });
  });

  it.each([
    ['an unknown figure', rule('1', 0.1, 'beauty'), /minimize is 'beauty', wanted one of size_bytes/],
    [
      'an unknown metric',
      rule('1', 0.1, 'size_bytes', 'beauty'),
      /metric is 'beauty', wanted one of accuracy, r2, perp/,
    ],
    ['a negative drop', rule('1', -0.1), /max_accuracy_drop is -0.1/],
    ['a drop that is no number', rule('1', NaN), /max_accuracy_drop is NaN/],
    ['an unknown baseline', rule('9', 0.1), /model 'digits' has no version '9'/],
  ])('refuses %s', (_, asked, message) => expect(() => choose(four, asked)).toThrow(message));

  it('says why nothing is left to choose', () =>
    expect(() => choose(model(version('1', undefined, 1n)), rule('', 0))).toThrow(
      "model 'digits' has no admitted version with the metric accuracy",
    ));
});
