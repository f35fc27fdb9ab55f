import { createExecutions } from './executions.js';

const curve = [{ rows: 8, ms: 100 }];
const of = (rows: number) => ({ rows, background: false });

describe('executions under way', () => {
  let now = 0;
  beforeEach(() => {
    now = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => now);
  });
  afterEach(() => jest.restoreAllMocks());

  it('leave a runner with nothing when the first of them ends', () => {
    const executions = createExecutions({ sideBySide: 2, curve });
    expect(executions.msUntilIdle()).toBe(Infinity); // there is nothing to wait for
    executions.begin(of(8));
    now = 60;
    executions.begin(of(8));
    expect([executions.size, executions.msUntilIdle()]).toEqual([2, 40]);
    now = 500;
    expect(executions.msUntilIdle()).toBe(0);
  });

  it('go on with what was sent ahead', () => {
    const executions = createExecutions({ sideBySide: 2, curve });
    const [first, second, third] = [of(8), of(8), of(8)];
    executions.begin(first);
    now = 60;
    executions.begin(second);
    executions.begin(third);
    expect(executions.msUntilIdle()).toBe(100); // the second's end: the first's runner has the third
    now = 100;
    executions.end(first, true);
    expect(executions.msUntilIdle()).toBe(60);
    executions.end(second, false);
    expect(executions.msUntilIdle()).toBe(100); // the third, which has just begun
    expect([...executions]).toEqual([third]);
  });

  it('share one device one after the other', () => {
    const executions = createExecutions({ sideBySide: 1, curve });
    executions.begin(of(8));
    executions.begin(of(16));
    expect(executions.msUntilIdle()).toBe(300);
  });

  it('tell how long others should take, but for those that failed or never ran', () => {
    const executions = createExecutions({ sideBySide: 1, curve });
    for (let i = 0; i < 100; i++) {
      const [execution, ahead] = [of(8), of(8)];
      executions.begin(execution);
      executions.begin(ahead);
      now += 150;
      executions.end(ahead, true);
      executions.end(execution, i % 2 === 0);
    }
    expect(executions.expectedMs(8)).toBeCloseTo(150, 0);
    for (let i = 0; i < 100; i++) {
      const execution = of(8);
      executions.begin(execution);
      now += 30_000;
      executions.end(execution, false);
    }
    expect(executions.expectedMs(8)).toBeCloseTo(150, 0);
  });
});
