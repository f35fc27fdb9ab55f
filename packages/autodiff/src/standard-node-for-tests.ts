import { floatTensor, floatsOf, int64Tensor, intTensor, readOnnx } from '@modelmill/onnx';
import type { Model, Tensor } from '@modelmill/onnx';
import { emit } from './emit.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { readGraph } from './read-graph.js';
import type { DoubleFeeds, DoubleRun } from './run-doubles-for-tests.js';
import { runnableInDoubles } from './run-doubles-for-tests.js';
import { numbers, runnable } from './run-for-tests.js';
import { constant, size } from './value.js';

interface Given {
  readonly type: 'float' | 'int64' | 'int32' | 'bool';
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

/** A node test of the ONNX standard: bench/peers/write_node_models.py. */
export interface StandardNode {
  readonly name: string;
  readonly model: string;
  readonly inputs: Readonly<Record<string, Given>>;
}

export interface Verdict {
  readonly kind: 'compared' | 'refused' | 'flat' | 'not run';
  readonly why?: string;
  /** Largest |got − wanted| / (1 + |wanted|) over the elements looked at. */
  readonly worst?: number;
  readonly double?: boolean;
}

const looked = 12;

/** Gradients of Σ weights · output, for every output of floats, against differences of the model itself. */
export async function judge({ model: file, inputs }: StandardNode): Promise<Verdict[]> {
  const model = readOnnx(Buffer.from(file, 'base64'));
  const features = Object.keys(inputs).find((name) => inputs[name]!.type === 'float')!;
  const verdicts: Verdict[] = [];
  for (const output of model.graph.outputs) {
    if (output.dataType === 'float') verdicts.push(await judgeOutput(model, output.name, inputs, features));
  }
  return verdicts;
}

/** All inputs but the features are constants of the graph: those of floats are its weights. */
function trainable(model: Model, output: string, inputs: StandardNode['inputs'], features: string): Model {
  const initializers = new Map(model.graph.initializers);
  for (const [name, given] of Object.entries(inputs))
    if (name !== features) initializers.set(name, tensorOf(name, given));
  const shape = inputs[features]!.dims;
  return {
    ...model,
    graph: {
      ...model.graph,
      initializers,
      inputs: [{ name: features, dataType: 'float', shape }],
      outputs: model.graph.outputs.filter(({ name }) => name === output).map((one) => ({ ...one, shape: undefined })),
      valueInfo: [],
    },
  } as Model;
}

async function judgeOutput(
  of: Model,
  output: string,
  inputs: StandardNode['inputs'],
  features: string,
): Promise<Verdict> {
  const model = trainable(of, output, inputs, features);
  let made;
  try {
    made = stepOf(model, inputs[features]!.dims[0] ?? 1);
  } catch (error) {
    return { kind: 'refused', why: String(error).slice(0, 160) };
  }
  if (!made) return { kind: 'flat' };
  const { step, names, weights } = made;
  const valuesOf = (name: string) =>
    Float64Array.from(inputs[name]?.data ?? floatsOf(of.graph.initializers.get(name)!));
  const point = new Map(step.graph.inputs.map(({ name }) => [name, valuesOf(name)]));
  const original = { ...model, graph: { ...model.graph, initializers: new Map(model.graph.initializers) } };
  original.graph.inputs = step.graph.inputs;
  for (const { name } of step.graph.inputs) original.graph.initializers.delete(name);
  const dimsOf = new Map(step.graph.inputs.map(({ name, shape }) => [name, shape as number[]]));
  const feeds = (values: ReadonlyMap<string, Float64Array>) =>
    Object.fromEntries([...values].map(([name, data]) => [name, { dims: dimsOf.get(name)!, data }]));

  let engines;
  try {
    engines = await enginesOf([original, step], feeds(point));
  } catch (error) {
    return { kind: 'not run', why: String(error).slice(0, 160) };
  }
  const { runs, double } = engines;
  const by = double ? 1e-5 : 1 / 128;
  const lossAt = async (name: string, element: number, to: number) => {
    const list = point.get(name)!.slice();
    list[element]! += to;
    const { data } = (await runs[0]!(feeds(new Map([...point, [name, list]]))))[output]!;
    return data.reduce((sum, value, i) => sum + value * weights[i]!, 0);
  };
  const analytic = await runs[1]!(feeds(point));
  let worst = 0;
  for (const [i, name] of names.entries()) {
    const got = analytic[`g${i}`]!.data;
    const stride = Math.max(1, Math.floor(got.length / looked));
    for (let k = 0; k < got.length; k += stride) {
      const slope = async (step: number) =>
        ((await lossAt(name, k, step)) - (await lossAt(name, k, -step))) / (2 * step);
      const here = await lossAt(name, k, 0);
      const [wanted, closer, ahead] = [await slope(by), await slope(by / 2), ((await lossAt(name, k, by)) - here) / by];
      // no slope at all: the sides differ at a kink, a jump's slope has no end
      const unsteady = Math.max(Math.abs(closer - wanted), Math.abs(ahead - wanted));
      if (!Number.isFinite(wanted) || unsteady > (double ? 0.01 : 0.1) * (1 + Math.abs(wanted))) continue;
      const error = Math.abs(got[k]! - wanted) / (1 + Math.abs(wanted));
      worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
    }
  }
  return { kind: 'compared', worst, double };
}

function stepOf(model: Model, batch: number) {
  const graph = readGraph(model, batch);
  if (graph.dropout.length > 0) throw new Error('draws random numbers');
  const all = [graph.features, ...graph.weights.values()];
  const { output: y } = graph;
  const weights = numbers(size(y.shape), { seed: 77 });
  const found = gradients(op.sum(op.mul(y, constant(weights, y.shape))), all);
  const targets = all.filter((value) => found.has(value));
  if (targets.length === 0) return undefined;
  const roots = new Map(targets.map((x, i) => [`g${i}`, found.get(x)!] as const));
  const names = targets.map(({ source }) => (source.kind === 'input' ? source.name : ''));
  return { step: emit({ name: 'step', inputs: all, outputs: roots }), names, weights };
}

/** In doubles where there is every kernel, else in floats. */
async function enginesOf(
  models: readonly Model[],
  point: DoubleFeeds,
): Promise<{ runs: readonly DoubleRun[]; double: boolean }> {
  try {
    const runs = await Promise.all(models.map(runnableInDoubles));
    for (const run of runs) await run(point);
    return { runs, double: true };
  } catch {
    // some kernel there is in floats only
  }
  const runs = await Promise.all(
    models.map(async (model): Promise<DoubleRun> => {
      const run = await runnable(model);
      return async (feeds) => {
        const fed = Object.entries(feeds).map(
          ([name, { dims, data }]) => [name, { dims, data: Float32Array.from(data) }] as const,
        );
        const made = Object.entries(await run(Object.fromEntries(fed)));
        return Object.fromEntries(
          made.map(([name, data]) => [name, { dims: [data.length], data: Float64Array.from(data) }]),
        );
      };
    }),
  );
  for (const run of runs) await run(point);
  return { runs, double: false };
}

function tensorOf(name: string, { type, dims, data }: Given): Tensor {
  switch (type) {
    case 'float':
      return floatTensor(name, dims, data);
    case 'int64':
      return int64Tensor(name, dims, data);
    case 'int32':
      return intTensor(name, 'int32', dims, data);
    case 'bool':
      return { name, dataType: 'bool', dims, bytes: Uint8Array.from(data) };
  }
}
