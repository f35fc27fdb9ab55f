import { createExecutionPace } from './execution-pace.js';

const curve = [
  { rows: 1, ms: 10 },
  { rows: 4, ms: 20 },
];

describe('the pace of executions', () => {
  it('begins as it was measured', () => {
    const pace = createExecutionPace(curve);
    expect([1, 4].map(pace.least)).toEqual([10, 20]);
  });

  it('becomes what executions take beside everything else', () => {
    const pace = createExecutionPace(curve);
    for (let i = 0; i < 200; i++) pace.learn(4, 60);
    expect(pace.least(1)).toBeCloseTo(30, 3);
  });

  it('is the more careful the more executions differ', () => {
    const pace = createExecutionPace(curve);
    for (let i = 0; i < 200; i++) pace.learn(4, i % 2 === 0 ? 20 : 60);
    expect(pace.least(4)).toBeLessThan(25);
    for (let i = 0; i < 200; i++) pace.learn(4, i % 5 === 0 ? 400 : 1);
    expect(pace.least(4)).toBeGreaterThanOrEqual(0);
  });

  it('is that of the first execution where nothing was measured', () => {
    const pace = createExecutionPace([]);
    expect(pace.least(8)).toBe(0);
    pace.learn(8, 40);
    expect([8, 16].map(pace.least)).toEqual([40, 80]);
    expect([8, 16].map(pace.expected)).toEqual([40, 80]);
  });

  it('learns nothing from executions without rows', () => {
    for (const known of [curve, []]) {
      const pace = createExecutionPace(known);
      pace.learn(0, 5);
      pace.learn(4, 20);
      pace.learn(0, 5);
      expect(pace.least(4)).toBe(20);
    }
  });
});
