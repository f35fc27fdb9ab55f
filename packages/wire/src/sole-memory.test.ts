import { letGo, makeSole, soleMemory, wholeMemory } from './sole-memory.js';

const mib = 2 ** 20;
const held = () => process.memoryUsage().arrayBuffers;

describe('the memory of a large message', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => {
    jest.runAllTimers();
    jest.useRealTimers();
  });

  it('is the next one’s when it is let go, and empty to whoever still has it', () => {
    const memory = soleMemory(16 * mib).fill(7);
    const part = memory.subarray(10, 20);
    const before = held();
    letGo(part);
    expect([memory.length, part.length]).toEqual([0, 0]);
    letGo(memory);
    const next = soleMemory(15 * mib);
    expect(next.length).toBe(15 * mib);
    expect(held() - before).toBeLessThan(mib);
    const other = soleMemory(16 * mib); // that one is taken
    expect(held() - before).toBeGreaterThan(15 * mib);
    letGo(next);
    letGo(other);
  });

  it('is free when nobody wants it for a while, and at once where there is much of it', () => {
    const before = held();
    const all = Array.from({ length: 8 }, () => soleMemory(16 * mib));
    for (const memory of all) letGo(memory);
    expect(held() - before).toBeLessThan(70 * mib);
    jest.runAllTimers();
    expect(held() - before).toBeLessThan(4 * mib);
  });

  it('is not one of another size', () => {
    letGo(soleMemory(16 * mib));
    const before = held();
    const small = soleMemory(4 * mib);
    expect(held() - before).toBeGreaterThan(3 * mib);
    letGo(small);
  });

  it('stays until somebody says that nobody else looks at it', () => {
    const memory = wholeMemory(2 * mib).fill(7);
    letGo(memory);
    expect(memory[2 * mib - 1]).toBe(7);
    makeSole(memory.subarray(5, 6));
    letGo(memory);
    expect(memory.length).toBe(0);
  });

  it('stays where it is not its own', () => {
    const memory = Buffer.alloc(2 * mib, 7);
    makeSole(memory);
    letGo(memory);
    const small = soleMemory(100).fill(7);
    letGo(small);
    expect([memory[2 * mib - 1], small[99]]).toEqual([7, 7]);
  });
});
