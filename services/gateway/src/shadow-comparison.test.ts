import { serving } from '@modelmill/contracts';
import { merged } from './shadow-comparison.js';

const setting = { model: 'm', label: 'stable', version: '2', share: 1, setAt: undefined };

it('merges what replicas tell as if one had run it all', () => {
  const told = (count: number, rms: number, ms: number, dropped: Record<string, bigint>) =>
    serving.ShadowComparison.fromPartial({
      compared: BigInt(count),
      dropped,
      outputs: [
        { name: 'y', elements: BigInt(count), rmsDifference: rms, rmsAnswered: 2 * rms, maxDifference: ms, rows: 1n },
      ],
      shadowTimes: { answer: { buckets: [{ upToMs: ms, count: BigInt(count) }] } },
    });
  const all = merged(setting, [told(30, 3, 1, { busy: 2n }), told(10, 5, 8, { busy: 1n, resting: 4n })]);
  expect(all).toMatchObject({ replicas: 2, compared: 40n, dropped: { busy: 3n, resting: 4n } });
  const [output] = all.outputs;
  expect(output).toMatchObject({ elements: 40n, rows: 2n, maxDifference: 8, relativeDifference: 0.5 });
  expect(output!.rmsDifference).toBeCloseTo(Math.sqrt((30 * 9 + 10 * 25) / 40), 9);
  const { p50Ms, p99Ms } = all.shadowTimes!.answer!;
  expect(Math.abs(p50Ms / 1 - 1)).toBeLessThan(0.05);
  expect(Math.abs(p99Ms / 8 - 1)).toBeLessThan(0.05);
});

it('has nothing to tell where no replica has', () => {
  expect(merged(setting, [])).toMatchObject({ replicas: 0, answered: 0n, outputs: [], dropped: {} });
});
