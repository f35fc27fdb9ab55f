import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { producerOf } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import type { Runner, TensorData } from '@modelmill/runtime';
import { layerName } from '../layer-names.js';

/** What one node of the graph that ONNX Runtime made took for one example. */
export interface KernelTime {
  readonly name: string;
  readonly opType: string;
  readonly ms: number;
}

const warmup = 5;

/** Runs a model so often under ONNX Runtime's profiler, in the runner, and tells what each of its kernels took. */
export async function kernelTimes(
  runner: Pick<Runner, 'load' | 'measure' | 'unload'>,
  path: string,
  inputs: ReadonlyMap<string, TensorData>,
  rounds: number,
): Promise<KernelTime[]> {
  const folder = await mkdtemp(join(tmpdir(), 'mill-profile-'));
  try {
    await runner.load('profiled', path, { profilePrefix: join(folder, 'profile') });
    await runner.measure([{ id: 'profiled', inputs }], { rounds, warmup });
    await runner.unload('profiled');
    const [file] = await readdir(folder);
    if (file === undefined) throw new Error('ONNX Runtime wrote no profile');
    return timesIn(await readFile(join(folder, file), 'utf8'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Event {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: { readonly op_name?: string; readonly node_index?: string };
}

const kernel = /_kernel_time$/;

function timesIn(profile: string): KernelTime[] {
  const kernels = new Map<string, { name: string; opType: string; micros: number[] }>();
  for (const { cat, name, dur, args = {} } of JSON.parse(profile) as Event[]) {
    if (cat !== 'Node' || !kernel.test(name)) continue;
    const key = `${args.node_index} ${name}`;
    const known = kernels.get(key) ?? { name: name.replace(kernel, ''), opType: args.op_name ?? '', micros: [] };
    known.micros.push(dur);
    kernels.set(key, known);
  }
  return [...kernels.values()].map(({ name, opType, micros }) => ({
    name,
    opType,
    ms: middleMean(micros.slice(warmup)) / 1000,
  }));
}

/** Mean of the middle half: the clock has whole microseconds, and interruptions take many. */
function middleMean(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  const middle = sorted.slice(quarter, sorted.length - quarter);
  return middle.reduce((sum, value) => sum + value, 0) / Math.max(1, middle.length);
}

const products =
  /^(Conv|FusedConv|QLinearConv|ConvInteger|Gemm|FusedGemm|QGemm|MatMul|FusedMatMul|QLinearMatMul|MatMul\w+|DynamicQuantizeMatMul)$/;
/** What ONNX Runtime adds to the names of nodes that it fuses, lays out anew or makes of others. */
const added = /^fused |_nchwc$|_token_\d+$|\/MatMulAddFusion$|_quant$|_nhwc$/g;

/** Milliseconds of each layer's own product, by the layers' names; the model's nodes have names. */
export function layerTimes(model: Model, layers: readonly Node[], times: readonly KernelTime[]): Map<string, number> {
  const byName = new Map(layers.map((node) => [node.name, node]));
  const found = new Map<string, number>();
  for (const { name, opType, ms } of times) {
    if (!products.test(opType)) continue;
    let plain = name;
    for (let before = ''; before !== plain;) [before, plain] = [plain, plain.replace(added, '')];
    const layer = byName.get(plain) ?? layerBefore(model, new Set(layers), plain);
    if (layer) found.set(layerName(layer), (found.get(layerName(layer)) ?? 0) + ms);
  }
  return found;
}

/** The layer whose product a value is: activations and biases may have been fused into it. */
function layerBefore({ graph }: Model, layers: ReadonlySet<Node>, value: string): Node | undefined {
  for (let node = producerOf(graph, value); node; node = producerOf(graph, node.inputs[0]!)) {
    if (layers.has(node)) return node;
  }
  return undefined;
}
