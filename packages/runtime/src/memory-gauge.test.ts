import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openMemoryGauge } from './memory-gauge.js';

describe('a memory gauge', () => {
  it('follows what a process holds', () => {
    using gauge = openMemoryGauge(process.pid);
    const before = gauge.residentBytes();
    const block = Buffer.alloc(2 ** 27, 1);
    expect(Math.abs(gauge.residentBytes() - process.memoryUsage.rss())).toBeLessThan(2 ** 25);
    expect(gauge.residentBytes()).toBeGreaterThan(before + block.length / 2);
  });

  it('shows nothing of a process that has ended, or of none, or when it is closed', async () => {
    const child = spawn('sleep', ['60']);
    const gauge = openMemoryGauge(child.pid!);
    expect(gauge.residentBytes()).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(gauge.residentBytes()).toBe(0);
    gauge[Symbol.dispose]();
    expect(gauge.residentBytes()).toBe(0);
    using none = openMemoryGauge(2 ** 30);
    expect(none.residentBytes()).toBe(0);
  });
});
