import { letGo, soleMemory } from './sole-memory.js';

const mib = 2 ** 20;
const held = () => process.memoryUsage().arrayBuffers;

describe('the memory of a large message', () => {
  it('is free when it is let go, and empty to whoever still has it', () => {
    const before = held();
    const memory = soleMemory(64 * mib);
    const part = memory.subarray(10, 20);
    expect(held() - before).toBeGreaterThan(60 * mib);
    letGo(part);
    expect(held() - before).toBeLessThan(4 * mib);
    expect([memory.length, part.length]).toEqual([0, 0]);
    letGo(memory);
  });

  it('stays where it is not its own', () => {
    const memory = Buffer.alloc(2 * mib, 7);
    letGo(memory);
    const small = soleMemory(100).fill(7);
    letGo(small);
    expect([memory[2 * mib - 1], small[99]]).toEqual([7, 7]);
  });
});
