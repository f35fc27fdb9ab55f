import { createForecast } from './forecast.js';

const curve = [
  { rows: 1, ms: 10 },
  { rows: 4, ms: 20 },
];

describe('a forecast', () => {
  it('shares what lies before a request among the runners', () => {
    const forecast = createForecast({ curve, maxBatch: 4, runners: 2 });
    // an execution of 4 rows under way, one to come, and one of the 1 row that is left
    expect(forecast.work({ executing: [4], waiting: 5, own: 1 })).toBe((20 + 20 + 10) / 2);
  });

  it('is never shorter than the execution of the request itself', () => {
    const forecast = createForecast({ curve, maxBatch: 4, runners: 4 });
    expect(forecast.work({ executing: [], waiting: 4, own: 4 })).toBe(20);
  });

  it('learns how much slower than measured answers come', () => {
    const forecast = createForecast({ curve, maxBatch: 4, runners: 1 });
    expect(forecast.milliseconds(10)).toBe(10);
    for (let i = 0; i < 200; i++) forecast.learn(10, 30);
    expect(forecast.milliseconds(10)).toBeCloseTo(30, 3);
  });

  it('is the more careful the more answers differ', () => {
    const forecast = createForecast({ curve, maxBatch: 4, runners: 1 });
    for (let i = 0; i < 200; i++) forecast.learn(10, i % 2 === 0 ? 10 : 30);
    expect(forecast.milliseconds(10)).toBeGreaterThan(35);
  });

  it('of what could not be measured begins with the first answer', () => {
    const forecast = createForecast({ curve: [], maxBatch: 8, runners: 1 });
    expect(forecast.work({ executing: [8], waiting: 80, own: 1 })).toBe(0);
    forecast.learn(0, 40);
    expect(forecast.work({ executing: [8], waiting: 16, own: 1 })).toBe(120);
  });
});
