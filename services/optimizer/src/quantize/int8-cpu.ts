import { readFileSync } from 'node:fs';

/** CPUs that eight-bit products are written for; `here` is the optimizer's own. */
export const cpus = ['here', 'vnni', 'x64', 'arm64'] as const;
export type Cpu = (typeof cpus)[number];

/** What a model in eight bits is written for. */
export interface Int8Target {
  /** Of the CPU, as a report tells it. */
  readonly words: string;
  /** Weights in 7 bits: x64 without VNNI adds pairs of u8·s8 products in 16 bits, where 8-bit weights overflow. */
  readonly reduced: boolean;
}

const targets: Readonly<Record<Exclude<Cpu, 'here'>, Int8Target>> = {
  vnni: { words: 'x64 with VNNI', reduced: false },
  x64: { words: 'x64 without VNNI', reduced: true },
  arm64: { words: 'ARM64', reduced: false },
};

export const int8Target = (cpu: Cpu): Int8Target => targets[cpu === 'here' ? cpuHere() : cpu];

/** Where nothing tells an x64 CPU's abilities, it is taken for one without VNNI: right on both. */
function cpuHere(): Exclude<Cpu, 'here'> {
  if (process.arch !== 'x64') return 'arm64';
  try {
    return cpuOf(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return 'x64'; // no such file but on Linux
  }
}

/** What a Linux /proc/cpuinfo of an x64 machine says. */
export const cpuOf = (cpuinfo: string): 'vnni' | 'x64' =>
  /^flags\s*:.*\b(avx512_vnni|avx_vnni|avx_vnni_int8)\b/m.test(cpuinfo) ? 'vnni' : 'x64';

/** As a report tells it. */
export const forCpu = ({ words, reduced }: Int8Target): string =>
  `Written for ${words}: weights have ${reduced ? '7 bits, so that sums of products fit into 16' : '8 bits'}.`;
