import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cloneModel, elementCount, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { optimizedWeights, openSession } from '@modelmill/runtime';
import type { Session } from '@modelmill/runtime';
import { createRanges } from './quantization-ranges.js';
import type { ValueRange } from './value-range.js';
import { quantizableTensors, quantizeStatic } from './quantize-static.js';

/** Some numbers for the only input of a model. */
export interface Example {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export const openOnCpu = (model: Model): Promise<Session> => openSession(writeOnnx(model), { providers: ['cpu'] });

/** The values of named tensors, or of the outputs. */
export async function valuesOf(model: Model, example: Example, names?: readonly string[]) {
  const probe = cloneModel(model);
  const outputs = new Set(model.graph.outputs.map(({ name }) => name));
  const inner = (names ?? []).filter((name) => name !== inputOf(model) && !outputs.has(name));
  probe.graph.outputs.push(...inner.map((name) => ({ name, dataType: 'float', shape: undefined }) as const));
  await using session = await openOnCpu(probe);
  const results = await session.run({ [inputOf(model)]: example });
  const wanted = names ?? [...outputs];
  return new Map(wanted.map((name) => [name, (results[name] ?? example).data as Float32Array]));
}

const inputOf = ({ graph }: Model) => graph.inputs.find(({ name }) => !graph.initializers.has(name))!.name;

/** A quantized copy, calibrated on one example. */
export async function quantizedOn(example: Example, model: Model) {
  const copy = cloneModel(model);
  const ranges = createRanges('minmax');
  for (const [name, values] of await valuesOf(copy, example, quantizableTensors(copy)))
    ranges.add(name, values, example.dims[0]!);
  const found: Map<string, ValueRange> = await ranges.finish();
  const { layers } = quantizeStatic(copy, found);
  return { model: copy, layers, ranges: found };
}

/** Signal to noise of the first output, in decibels. */
export async function fidelity(model: Model, quantized: Model, example: Example): Promise<number> {
  const [name] = model.graph.outputs.map((output) => output.name);
  const wanted = (await valuesOf(model, example)).get(name!)!;
  const got = (await valuesOf(quantized, example)).get(name!)!;
  const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
  return 10 * Math.log10(power(wanted) / power(wanted.map((value, i) => value - got[i]!)));
}

/** What ONNX Runtime made of a model when it loaded it; its weights are not read. */
export async function optimizedModel(model: Model): Promise<Model> {
  const folder = await mkdtemp(join(tmpdir(), 'mill-operators-'));
  try {
    const path = join(folder, 'optimized.onnx');
    await using _session = await openSession(writeOnnx(model), { providers: ['cpu'], optimizedModelPath: path });
    const weights = { size: Infinity, read: (_: number, length: number) => new Uint8Array(length) };
    return readOnnx(await readFile(path), new Map([[optimizedWeights, weights]]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** How often ONNX Runtime runs each operator of a model. */
export async function operatorsRun(model: Model): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { opType } of (await optimizedModel(model)).graph.nodes) counts[opType] = (counts[opType] ?? 0) + 1;
  return counts;
}

export const exampleOf = (dims: readonly number[]): Example => ({
  dims,
  data: Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(1 + i * i)),
});
