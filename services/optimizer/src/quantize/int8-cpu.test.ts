import { cpuOf, int8Target } from './int8-cpu.js';

describe('the CPU that eight-bit products are for', () => {
  it.each([
    ['flags\t\t: fpu avx2 avx512f avx512_vnni', 'vnni'],
    ['processor\t: 0\nflags\t\t: fpu avx2 avx_vnni sse\n', 'vnni'],
    ['flags\t\t: fpu avx2 avx512f', 'x64'],
    ['model name\t: avx_vnni of a kind\nflags\t\t: avx2', 'x64'],
  ])('is read from its flags: %j', (cpuinfo, cpu) => expect(cpuOf(cpuinfo)).toBe(cpu));

  it('gets weights of 7 bits only where pairs of products are added in 16', () => {
    expect(int8Target('x64').reduced).toBe(true);
    expect([int8Target('vnni').reduced, int8Target('arm64').reduced]).toEqual([false, false]);
  });
});
