import { age, bytes, clock, count, duration, figure, percent } from './format.js';

it.each([
  [bytes(0), '0 B'],
  [bytes(999n), '999 B'],
  [bytes(45_123), '45.1 kB'],
  [bytes(1_234_567n), '1.2 MB'],
  [bytes(5e12), '5000.0 GB'],
  [count(12_345.6), '12,346'],
  [count(1797n), '1,797'],
  [clock(7.4), '0:07'],
  [clock(61), '1:01'],
  [clock(3_725), '1:02:05'],
  [clock(-3), '0:00'],
  [duration(3.21), '3.2 s'],
  [duration(65), '1:05 min'],
  [percent(0.995), '99 %'],
  [percent(1), '100 %'],
  [percent(0.29), '29 %'],
  [figure(0.98765, 4), '0.9877'],
  [figure(undefined, 4), undefined],
])('%s is how it is written', (got, wanted) => expect(got).toBe(wanted));

it.each([
  [12, '12 s'],
  [90, '1 min'],
  [7_300, '2 h'],
  [200_000, '2 d'],
])('%d seconds ago is %s', (seconds, wanted) => {
  const now = new Date('2026-11-23T12:00:00Z');
  expect(age(new Date(now.getTime() - seconds * 1000), now)).toBe(wanted);
});
