import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cloneModel, elementCount, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { createRanges, leftovers, quantizableTensors, quantizeDynamic, quantizeStatic } from '@modelmill/optimizer';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { median } from './alternate.js';
import type { Contest } from './alternate.js';
import { createClosing } from './closing.js';
import { quantizerContests } from './quantizers.js';
import { noise, shapes } from './shapes.js';
import type { Shape } from './shapes.js';

type ShapeName = keyof typeof shapes;

/** What the reference of each shape and form is: docs/optimization.md. */
const goals: readonly (readonly [ShapeName, 'static' | 'dynamic', number])[] = [
  ['resnet50', 'static', 2.8],
  ['mobilenetv2', 'static', 1.7],
  ['bert', 'static', 2.4],
  ['bert', 'dynamic', 2.2],
  ['mlp', 'static', 2.5],
];

/** A round lasts about so long. */
const roundMs = 400;

/** Answers in eight bits against the same network in floats, one thread each, in this process. */
export async function optimizeContests(): Promise<{ contests: Contest[] } & AsyncDisposable> {
  await using opened = createClosing();
  const folder = await mkdtemp(join(tmpdir(), 'mill-bench-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const contests = goals.map(([name, form, goal]): Contest => {
    const sides = lazily(() => openSides(folder, shapes[name], form));
    opened.defer(async () => (await sides())[Symbol.asyncDispose]());
    return {
      case: `${form} int8: ${shapes[name].words}`,
      unit: 'ms',
      better: 'lower',
      against: 'the same network in floats, one thread',
      goal,
      ours: async () => (await sides()).time('int8'),
      theirs: async () => (await sides()).time('float'),
    };
  });
  const kept = opened.move();
  contests.push(...quantizerContests(folder));
  return { contests, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() };
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

interface Sides extends AsyncDisposable {
  /** The median of the answers of a round, ms. */
  time(side: 'float' | 'int8'): Promise<number>;
}

async function openSides(folder: string, shape: Shape, form: 'static' | 'dynamic'): Promise<Sides> {
  const model = shape.build();
  const example = new Tensor('float32', noise(elementCount(shape.input), 1, 99), shape.input);
  const quantized = cloneModel(model);
  if (form === 'dynamic') quantizeDynamic(quantized);
  else quantizeStatic(quantized, await rangesOn(folder, model, example));

  const paths = { float: join(folder, 'float.onnx'), int8: join(folder, 'int8.onnx') };
  const optimized = join(folder, 'optimized.onnx');
  await writeFile(paths.float, writeOnnx(model));
  await writeFile(paths.int8, writeOnnx(quantized));
  const oneThread = {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  } as const;
  const sessions = {
    float: await InferenceSession.create(paths.float, oneThread),
    int8: await InferenceSession.create(paths.int8, { ...oneThread, optimizedModelFilePath: optimized }),
  };
  const left = leftovers(readOnnx(await readFile(optimized)));
  process.stderr.write(
    `  ${left.integerProducts} products in integers, ${left.floatProducts} in floats, ` +
      `${left.pairs} QuantizeLinear and DequantizeLinear left over\n`,
  );
  const once = async (side: 'float' | 'int8') => {
    const start = performance.now();
    await sessions[side].run({ x: example });
    return performance.now() - start;
  };
  return {
    async time(side) {
      const times: number[] = [];
      for (let total = 0; total < roundMs; total += times.at(-1)!) times.push(await once(side));
      return median(times);
    },
    async [Symbol.asyncDispose]() {
      for (const session of Object.values(sessions)) await session.release();
    },
  };
}

/** Ranges of what static quantization asks for, on one example. */
async function rangesOn(folder: string, model: Model, example: Tensor) {
  const probe = cloneModel(model);
  const wanted = quantizableTensors(probe);
  const watched = wanted.filter((name) => name !== 'x');
  const known = new Set(probe.graph.outputs.map(({ name }) => name));
  for (const name of watched.filter((one) => !known.has(one))) {
    probe.graph.outputs.push({ name, dataType: 'float', shape: undefined });
  }
  const path = join(folder, 'probe.onnx');
  await writeFile(path, writeOnnx(probe));
  const session = await InferenceSession.create(path, { executionProviders: ['cpu'] });
  const results = await session.run({ x: example }, watched);
  const ranges = createRanges('minmax');
  for (const name of wanted) ranges.add(name, (results[name] ?? example).data as Float32Array, 1);
  await session.release();
  return ranges.finish();
}
