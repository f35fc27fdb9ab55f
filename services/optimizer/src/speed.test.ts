import { percentile } from './speed.js';

it.each([
  [[5], 0.99, 5],
  [[3, 1, 2, 4], 0.5, 2],
  [Array.from({ length: 100 }, (_, i) => 100 - i), 0.99, 99],
  [Array.from({ length: 1000 }, (_, i) => i + 1), 0.5, 500],
])('the percentile of %j at %f is of nearest rank: %f', (times, share, value) =>
  expect(percentile(times, share)).toBe(value),
);
