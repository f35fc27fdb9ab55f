import { existsSync, readlinkSync } from 'node:fs';
import { JobFailedError } from '@modelmill/store';
import { deepModel, freeNeeds, openWorkshop } from './pass-process-for-tests.js';
import type { Workshop } from './pass-process-for-tests.js';
import { startPassProcess } from './start-pass-process.js';

jest.setTimeout(120_000);

const memoryBytes = 2 ** 32;
const never = new AbortController().signal;
const model = deepModel([128, 64]);
/** Computes for long: k-means of eight million weights in 256 clusters. */
const longPass = { share_weights: { clusters: 256 } };
const longModel = () => deepModel([1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024]);

describe('a pass process', () => {
  let shop: Workshop;
  beforeAll(async () => void (shop = await openWorkshop()));
  afterAll(() => shop[Symbol.dispose]());

  it('makes and measures a candidate, tells how it gets on, and leaves nothing but artifacts', async () => {
    const told: string[] = [];
    let turns = 0;
    const needs = {
      ...freeNeeds,
      progress: ({ stage }: { readonly stage: string }) => void told.push(stage),
      turn: () => void turns++,
      turnOver: () => void turns--,
    };
    await using passes = await startPassProcess({ memoryBytes }, never, needs);
    const made = await passes.call('make', await shop.order(model, [{ quantize_static: {} }]));
    expect(made.artifact.size).toBeGreaterThan(0);
    expect(made.figures.candidate.size_bytes).toBe(made.artifact.size);
    expect(made.figures.parent.accuracy).toBeGreaterThanOrEqual(0);
    expect(await shop.artifacts.has(made.artifact.sha256)).toBe(true);
    expect(new Set(told)).toEqual(expect.objectContaining(new Set(['evaluating', 'measuring'])));
    expect(turns).toBe(0);

    const folder = readlinkSync(`/proc/${passes.pid}/cwd`);
    expect(existsSync(folder)).toBe(true);
    await passes[Symbol.asyncDispose]();
    expect(existsSync(folder)).toBe(false);
  });

  it('tells what cannot be done in the words of the pass, and goes on with the next order', async () => {
    await using passes = await startPassProcess({ memoryBytes }, never, freeNeeds);
    const impossible = passes.call('make', await shop.order(model, [{ quantize_weights: { block_size: 256 } }]));
    await expect(impossible).rejects.toThrow(
      new JobFailedError('there is nothing to quantize: no MatMul or Gemm has a constant matrix of 256 rows or more'),
    );
    const made = await passes.call('make', await shop.order(model, [{ store_halves: {} }]));
    expect(made.artifact.size).toBeGreaterThan(0);
  });

  it('ends at once when its signal aborts, in the middle of a layer', async () => {
    const stop = new AbortController();
    let begun = () => {};
    const clustering = new Promise<void>((resolve) => (begun = resolve));
    const needs = { ...freeNeeds, progress: () => begun() };
    await using passes = await startPassProcess({ memoryBytes }, stop.signal, needs);
    const making = passes.call('make', await shop.order(longModel(), [longPass]));
    making.catch(() => {});
    await clustering;
    const asked = performance.now();
    stop.abort('cancelled');
    await expect(making).rejects.toBe('cancelled');
    expect(performance.now() - asked).toBeLessThan(1000);
    expect(existsSync(`/proc/${passes.pid}/cwd`)).toBe(false);
  });

  it('is told from a pass that failed when it is killed', async () => {
    await using passes = await startPassProcess({ memoryBytes }, never, freeNeeds);
    const making = passes.call('make', await shop.order(longModel(), [longPass]));
    making.catch(() => {});
    process.kill(passes.pid, 'SIGKILL');
    await expect(making).rejects.toMatchObject({
      name: 'PassProcessError',
      message: 'the pass process ended with SIGKILL',
    });
    expect(passes.hasEnded).toBe(true);
    await expect(passes.call('make', await shop.order(model, [longPass]))).rejects.toThrow('ended with SIGKILL');
  });

  it('is ended where it takes too much memory, with the bound', async () => {
    const bound = 2 ** 26; // less than Node alone takes
    await using passes = await startPassProcess({ memoryBytes: bound }, never, freeNeeds);
    await expect(passes.call('make', await shop.order(model, [longPass]))).rejects.toThrow(
      new JobFailedError(
        `the passes took more memory than ${bound} bytes, the bound of a pass process (MILL_PASS_MEMORY_BYTES)`,
      ),
    );
  });
});
