import { RunnerError } from '@modelmill/runtime';
import type { TensorSignature } from '@modelmill/runtime';
import { costOf, isWorthParting, measureCost, preferredBatch } from './batch-cost.js';

const x: TensorSignature = { name: 'x', datatype: 'FP32', shape: [-1, 2] };
const runs = (msPerRow: number) => {
  const rows: number[] = [];
  const run = async (inputs: ReadonlyMap<string, { readonly shape: readonly number[] }>) => {
    rows.push(inputs.get('x')!.shape[0]!);
    await new Promise((resolve) => setTimeout(resolve, rows.at(-1)! * msPerRow));
    return { computeNs: BigInt(1e6 * rows.at(-1)!) };
  };
  return { rows, run };
};

describe('what an execution costs', () => {
  it('is measured in steps up to the largest batch', async () => {
    const { rows, run } = runs(0);
    const { whole, compute } = await measureCost([x], 20, run);
    expect([...new Set(rows)]).toEqual([1, 4, 16, 20]);
    expect(whole.map((point) => point.rows)).toEqual([1, 4, 16, 20]);
    expect(compute).toEqual([1, 4, 16, 20].map((size) => ({ rows: size, ms: size })));
  });

  it('is not believed to grow where the machine has become slower', async () => {
    const { rows, run } = runs(0);
    const slowing = async (inputs: Parameters<typeof run>[0]) => {
      const answer = await run(inputs);
      const isSlow = rows.includes(16);
      await new Promise((resolve) => setTimeout(resolve, (4 + rows.at(-1)!) * (isSlow ? 4 : 1)));
      return answer;
    };
    const { whole } = await measureCost([x], 16, slowing);
    expect(preferredBatch(whole, 16)).toBe(16); // 1.25 a row against 2, and not 5
  });

  it('is what it is on the machine at its fastest', async () => {
    const { rows, run } = runs(0);
    const hastening = async (inputs: Parameters<typeof run>[0]) => {
      const answer = await run(inputs);
      await new Promise((resolve) => setTimeout(resolve, rows.at(-1)! * (rows.includes(4) ? 4 : 40)));
      return answer;
    };
    const { whole } = await measureCost([x], 16, hastening);
    expect(whole.map((point) => point.rows)).toEqual([1, 4, 16]);
    expect(whole[0]!.ms).toBeLessThan(10); // 40 when it was alone
  });

  it('is not measured where that would take long', async () => {
    const { rows, run } = runs(80);
    expect((await measureCost([x], 64, run)).whole.map((point) => point.rows)).toEqual([1]);
    expect(new Set(rows)).toEqual(new Set([1]));
  });

  it('is not known of inputs whose sizes are open', async () => {
    const { rows, run } = runs(0);
    expect(await measureCost([{ ...x, shape: [-1, -1] }], 64, run)).toEqual({ whole: [], compute: [] });
    expect(rows).toEqual([]);
  });

  it('makes batches as large as pays off', () => {
    const linear = [1, 4, 16].map((rows) => ({ rows, ms: rows * 10 }));
    expect(preferredBatch(linear, 64)).toBe(1);
    const fixed = [1, 4, 16].map((rows) => ({ rows, ms: 10 + rows / 100 }));
    expect(preferredBatch(fixed, 64)).toBe(16);
    const byFive = [1, 4, 16].map((rows, index) => ({ rows, ms: rows * (1.1 - 0.05 * index) }));
    expect(preferredBatch(byFive, 64)).toBe(16);
    expect(preferredBatch([], 64)).toBe(64);
  });

  it('tells whether a part is worth an execution of its own', () => {
    const linear = [1, 16].map((rows) => ({ rows, ms: rows * 10 }));
    expect(isWorthParting(linear, 1, 2)).toBe(true);
    const fixed = [1, 16].map((rows) => ({ rows, ms: 1 + rows / 100 }));
    expect(isWorthParting(fixed, 8, 16)).toBe(false);
    expect(isWorthParting(fixed, 16, 16)).toBe(true);
    expect(isWorthParting([], 8, 16)).toBe(true);
  });

  it.each(['memory', 'timeout'] as const)('ends with the rows that a runner has %s for', async (kind) => {
    const { run } = runs(0);
    const narrow = (inputs: Parameters<typeof run>[0]) =>
      inputs.get('x')!.shape[0]! > 4 ? Promise.reject(new RunnerError(kind, 'too much')) : run(inputs);
    expect((await measureCost([x], 64, narrow)).whole.map((point) => point.rows)).toEqual([1, 4]);
    const broken = () => Promise.reject(new RunnerError(kind, 'too much'));
    await expect(measureCost([x], 64, broken)).rejects.toThrow('too much');
  });

  it('lies on straight lines between and beyond what was measured', () => {
    const curve = [
      { rows: 2, ms: 10 },
      { rows: 4, ms: 16 },
    ];
    expect([0, 1, 2, 3, 4, 8].map((rows) => costOf(curve, rows))).toEqual([0, 10, 10, 13, 16, 32]);
    expect(costOf([], 5)).toBe(0);
  });
});
