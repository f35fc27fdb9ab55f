import { registry } from '@modelmill/client';
import { rollBackOf, rollBackText } from './roll-back-flags.js';

it('makes a rule of the flags, and none without them', () => {
  expect(rollBackOf({})).toBeUndefined();
  expect(rollBackOf({ 'roll-back-errors': '0.05', 'roll-back-p99': '2', 'on-trial': '3' })).toEqual({
    version: '3',
    maxErrorShare: 0.05,
    maxP50Ratio: undefined,
    maxP99Ratio: 2,
    afterRequests: 0,
  });
});

it.each([
  [{ 'roll-back-errors': '5' }, "--roll-back-errors is '5', wanted a number from 0 to 0.999"],
  [{ 'roll-back-p50': 'slow' }, "--roll-back-p50 is 'slow', wanted a number from 1 to 1000"],
  [{ 'roll-back-p50': '2', 'roll-back-after': '3' }, "--roll-back-after is '3', wanted a number from 20 to 1000000"],
  [{ 'on-trial': '3' }, '--on-trial wants --roll-back-errors, --roll-back-p50 or --roll-back-p99 with it'],
])('refuses %j', (flags, message) => {
  expect(() => rollBackOf(flags)).toThrow(message);
});

it('tells what a rule waits for and what it did', () => {
  const label = registry.Label.fromPartial({
    name: 'stable',
    rollBack: { version: '2', maxErrorShare: 0.05, maxP50Ratio: 1.5, afterRequests: 200 },
  });
  expect(rollBackText(label)).toBe(
    'stable leaves version 2 when it fails 0.05 more of its requests than the other target, ' +
      'or has 1.5 times its p50; looked at every 200 requests',
  );
  const rolledBack = { version: '2', reason: 'it was slow', replica: 'a', time: new Date() };
  expect(rollBackText({ ...label, rolledBack })).toBe('stable was rolled back from version 2: it was slow');
  expect(rollBackText(registry.Label.fromPartial({ name: 'stable' }))).toBeUndefined();
});
