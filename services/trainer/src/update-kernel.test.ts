import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileKernel, pageBytes, sharedKernelMemory } from '@modelmill/data';
import { openTeam } from '@modelmill/runtime';
import { kernelBase64, sourceDigest } from './gen/update-kernel.js';
import { rowsTasks } from './update-kernel.js';

const count = 8;

/** Calls a function of the kernel by a team of one; `fill` gives each place of eight floats what lies there first. */
async function called(name: string, fill: readonly number[][], numbers: (at: (place: number) => number) => number[]) {
  const memory = sharedKernelMemory(2 * pageBytes)!;
  const at = (place: number) => pageBytes + 64 * place;
  const floats = (place: number) => new Float32Array(memory.buffer, at(place), count);
  fill.forEach((values, place) => floats(place).set(values));
  const task = { kind: 'call', function: name, arguments: numbers(at) } as const;
  await using team = await openTeam(
    memory.buffer,
    [{ models: [], programs: [[task]] }],
    {},
    { module: compileKernel(kernelBase64), memory },
  );
  await team.run([0]);
  return fill.map((_, place) => [...floats(place)]);
}

const eight = (of: (i: number) => number) => Array.from({ length: count }, (_, i) => of(i));
const rounded = (values: readonly number[]) => [...Float32Array.from(values)];

describe('the update kernel', () => {
  it('is compiled from today’s source (sh tools/compile-kernel.sh)', () => {
    const digest = createHash('sha256');
    for (const file of ['../assembly/update.ts', '../../../tools/compile-kernel.sh']) {
      digest.update(readFileSync(fileURLToPath(new URL(file, import.meta.url))));
    }
    expect(sourceDigest).toBe(digest.digest('hex'));
  });

  it('updates by Adam’s formula, with decay, an average and a scale', async () => {
    const [w, m, v, g, average] = [
      eight(Math.sin),
      eight((i) => i - 4),
      eight((i) => i / 7),
      eight(Math.cos),
      eight(() => 2),
    ];
    const [rate, c1, c2, scale, rateScale, beta1, beta2, epsilon, decay, ema] = [
      0.01, 3, 40, 0.5, 0.7, 0.9, 0.99, 1e-3, 0.1, 0.8,
    ];
    const got = await called('adam', [w, m, v, g, average, [rate, c1, c2, scale]], (at) => [
      ...[count, ...[0, 1, 2, 3, 4].map(at), at(5), at(5) + 4, at(5) + 8, at(5) + 12],
      ...[rateScale, beta1, beta2, epsilon, decay, ema],
    ]);
    const nextM = m.map((x, i) => beta1 * x + scale * g[i]!);
    const nextV = v.map((x, i) => beta2 * x + (scale * g[i]!) ** 2);
    const nextW = w.map((x, i) => {
      const mean = (1 - beta1) * c1 * nextM[i]!;
      const square = (1 - beta2) * c2 * nextV[i]!;
      return x - rate * rateScale * (decay * x + mean / (Math.sqrt(square) + epsilon));
    });
    const wanted = [nextW, nextM, nextV, g, average.map((x, i) => ema * x + (1 - ema) * nextW[i]!)];
    for (const [place, values] of wanted.entries()) {
      for (const [i, value] of values.entries()) expect(got[place]![i]).toBeCloseTo(value, 5);
    }
  });

  it('leaves no denormals, and NaN where it was', async () => {
    const m = [1e-38, -1e-38, 1, NaN, 0, 2e-38, -2e-38, -1];
    const zeros = eight(() => 0);
    const got = await called('adam', [zeros, m, zeros, zeros, [0.01, 1, 1]], (at) => [
      ...[count, ...[0, 1, 2, 3].map(at), 0, at(4), at(4) + 4, at(4) + 8, 0],
      ...[1, 0.9, 0.99, 1e-8, 0, 0],
    ]);
    expect(got[1]).toEqual(rounded([0, 0, 0.9, NaN, 0, 1.8e-38, -1.8e-38, -0.9]));
  });

  it.each([
    ['two gradients', true, 0],
    ['two gradients that are cut', true, 2],
    ['one, of a table', false, 0],
  ])('adds up %s, and squares', async (_, isSecond, limit) => {
    const [a, b] = [eight((i) => i), eight((i) => 1 - i / 2)];
    const got = await called('addUp', [a, b, [0]], (at) => [count, at(0), isSecond ? at(1) : 0, limit, at(2)]);
    const sum = a
      .map((x, i) => (isSecond ? x + b[i]! : x))
      .map((x) => (limit ? Math.min(limit, Math.max(-limit, x)) : x));
    expect(got[0]).toEqual(sum);
    expect(got[2]![0]).toBeCloseTo(
      sum.reduce((squares, x) => squares + x * x, 0),
      4,
    );
  });

  it.each([1, 4, 6])(
    'adds rows of %i elements to those of a table that are its own, and clears them',
    async (width) => {
      const length = 9;
      const memory = sharedKernelMemory(2 * pageBytes)!;
      const at = (place: number) => pageBytes + 1024 * place;
      const positions = [2, -1, 5, 2, 7];
      const rows = new Float32Array(memory.buffer, at(1), positions.length * width).map((_, i) => i + 1);
      new BigInt64Array(memory.buffer, at(0), positions.length).set(positions.map(BigInt));
      new Float32Array(memory.buffer, at(1), rows.length).set(rows);
      const table = new Float32Array(memory.buffer, at(2), length * width).fill(1);
      const tasks = (['add rows', 'clear rows'] as const).map((kind) =>
        rowsTasks({
          kind,
          positions: [{ type: 'int64', dims: [positions.length, 1], at: at(0) }],
          rows: [{ type: 'float32', dims: [positions.length, width], at: at(1) }],
          table: { type: 'float32', dims: [length, width], at: at(2) },
          from: 2,
          to: 7,
        }),
      );
      const kernel = { module: compileKernel(kernelBase64), memory };
      await using team = await openTeam(memory.buffer, [{ models: [], programs: tasks }], {}, kernel);
      const row = (of: number, at: number) => 1 + of * width + at;
      const wanted = (fill: (of: number, at: number) => number) =>
        Array.from({ length: length * width }, (_, i) => fill(Math.floor(i / width), i % width));
      await team.run([0]);
      expect([...table]).toEqual(
        wanted((of, at) => 1 + (of === 2 ? row(0, at) + row(3, at) : of === 5 ? row(2, at) : 0)),
      );
      await team.run([1]);
      expect([...table]).toEqual(wanted((of) => (of === 2 || of === 5 ? 0 : 1)));
    },
  );

  it('refuses what it does not have', async () => {
    await expect(called('divide', [], () => [])).rejects.toThrow("no function 'divide'");
  });
});
