import { registry, serving } from '@modelmill/client';
import { shadowOf, shadowText } from './shadow-flags.js';
import { comparisonText } from './shadow-text.js';

it('makes a shadow of the flags, and none without them', () => {
  expect(shadowOf({})).toBeUndefined();
  expect(shadowOf({ shadow: '2' })).toEqual({ version: '2', share: 1 });
  expect(shadowOf({ shadow: '2', 'shadow-share': '0.2' })).toEqual({ version: '2', share: 0.2 });
});

it.each([
  [{ 'shadow-share': '0.2' }, '--shadow-share wants --shadow with it'],
  [{ shadow: '2', 'shadow-share': '20' }, "--shadow-share is '20', wanted a number from 0 to 1"],
  [{ shadow: '2', 'shadow-share': '0' }, "--shadow-share is '0', wanted a share above 0"],
])('refuses %j', (flags, message) => {
  expect(() => shadowOf(flags)).toThrow(message);
});

it('tells which version runs what again', () => {
  const label = (share: number) => registry.Label.fromPartial({ name: 'stable', shadow: { version: '2', share } });
  expect(shadowText(label(1))).toBe('version 2 runs the requests to stable again, as its shadow');
  expect(shadowText(label(0.2))).toBe('version 2 runs 20 % of the requests to stable again, as its shadow');
  expect(shadowText(registry.Label.fromPartial({ name: 'stable' }))).toBeUndefined();
});

it('tells a comparison in plain words', () => {
  const times = { answer: { p50Ms: 2, p99Ms: 5.4321 }, execution: { p50Ms: 1, p99Ms: 3 } };
  const comparison = serving.ShadowComparison.fromPartial({
    label: 'stable',
    version: '2',
    answered: 1500n,
    picked: 1300n,
    compared: 1200n,
    failed: 3n,
    lastFailure: 'no row 40',
    dropped: { busy: 97n, resting: 0n },
    outputs: [
      { name: 'class', datatype: 'INT64', compared: 1200n, elements: 1200n, equalElements: 1199n },
      {
        name: 'scores',
        datatype: 'FP32',
        compared: 1200n,
        elements: 12_000n,
        maxDifference: 0.012345,
        rmsDifference: 0.001,
        relativeDifference: 0.004,
        rows: 1200n,
        agreeingRows: 1199n,
        missing: 1n,
      },
    ],
    answeredTimes: times,
    shadowTimes: times,
  });
  expect(comparisonText(comparison)).toEqual([
    '1,200 of 1,500 requests to stable were compared with version 2',
    '  class: 99.91 % of 1,200 elements are equal',
    '  scores: the largest score is the same in 99.91 % of 1,200 rows',
    '  scores: differs by 0.0123 at most, by 0.001 rms (0.4 % of the answered rms)',
    '  scores: is missing in 1 requests',
    'in ONNX Runtime: answered in 1 ms (p50) and 3 ms (p99), version 2 in 1 ms (p50) and 3 ms (p99)',
    'with waiting: answered in 2 ms (p50) and 5.43 ms (p99), version 2, behind all others, in 2 ms (p50) and 5.43 ms (p99)',
    'version 2 could not run 3, last: no row 40',
    '97 were not tried: the runners were busy with others',
  ]);
  expect(comparisonText({ ...comparison, picked: 0n })).toEqual([
    'version 2 is the shadow of stable: no requests so far',
  ]);
});
