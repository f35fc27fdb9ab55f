import { attribute, emptyGraph, floatTensor, makeNode } from '@modelmill/onnx';
import type { Attribute, Model, Tensor } from '@modelmill/onnx';
import { emit } from './emit.js';
import { gradients } from './gradients.js';
import * as op from './ops.js';
import { readGraph } from './read-graph.js';
import { runnableInDoubles } from './run-doubles-for-tests.js';
import type { DoubleRun } from './run-doubles-for-tests.js';
import { numbers, runnable } from './run-for-tests.js';
import { constant, size } from './value.js';
import type { Shape } from './value.js';

/** A node as a file has it. */
export interface NodeCase {
  readonly op: string;
  readonly what?: string;
  /** The operator set the node is of. */
  readonly opset?: number;
  /** Shapes of float operands, differentiated; constants; operands left out; an earlier operand once more. */
  readonly x: readonly (Shape | Tensor | undefined | { readonly same: number })[];
  readonly attributes?: Readonly<Record<string, Attribute | number | string | readonly number[]>>;
  /** How many outputs the node has, and which one is the graph's. */
  readonly outputs?: number;
  readonly of?: number;
  /** Where the operands lie; `away` keeps them from a kink at 0. */
  readonly domain?: { low?: number; high?: number; away?: number };
  /** Operands of distinct values at least 0.05 apart: no ties, and no order that a small step changes. */
  readonly distinct?: boolean;
  /** The operands' values, where they matter. */
  readonly values?: readonly (readonly number[])[];
  /** Gradients are zero. */
  readonly flat?: boolean;
}

/** The node alone as a model: its float operands are the first input and weights. */
export function modelOf({ op: opType, opset = 18, x, attributes = {}, outputs = 1, of = 0 }: NodeCase): Model {
  const graph = emptyGraph('node');
  const first = x.findIndex((operand) => operand !== undefined && isShape(operand));
  const names = x.map((operand, i) => {
    if (operand === undefined) return '';
    if (!isShape(operand) && 'same' in operand) return `x${operand.same}`;
    const name = `x${i}`;
    if (!isShape(operand)) graph.initializers.set(name, { ...operand, name });
    else if (i === first) graph.inputs.push({ name, dataType: 'float', shape: operand });
    else graph.initializers.set(name, floatTensor(name, operand, new Float32Array(size(operand))));
    return name;
  });
  const made = Object.entries(attributes).map(([name, value]) => [name, attributeOf(value)] as const);
  const given = Array.from({ length: outputs }, (_, i) => `y${i}`);
  graph.nodes.push(makeNode(opType, names, given, Object.fromEntries(made), 'it'));
  graph.outputs = [{ name: `y${of}`, dataType: 'float', shape: undefined }];
  return { irVersion: 10, opsets: new Map([['', opset]]), producer: '', metadata: new Map(), functions: [], graph };
}

type Run = (values: readonly Float64Array[]) => ReturnType<DoubleRun>;

/** What the step graph computes against the node itself, and its gradients against the node's central differences: in doubles. */
export async function compare(one: NodeCase) {
  const model = modelOf(one);
  const shapes = one.x.flatMap((operand) => (operand && isShape(operand) ? [operand] : []));
  const graph = readGraph(model, shapes[0]![0] ?? 1);
  const targets = [graph.features, ...graph.weights.values()].slice(0, shapes.length);
  if (targets.length !== shapes.length) throw new Error(`${targets.length} of ${shapes.length} operands are values`);
  const { output: y } = graph;
  const weights = numbers(size(y.shape), { seed: 77 });
  const found = gradients(op.sum(op.mul(y, constant(weights, y.shape))), targets);
  const roots = new Map([['y', y], ...targets.map((x, i) => [`g${i}`, found.get(x)!] as const)]);
  const step = emit({ name: 'step', inputs: targets, outputs: roots });
  const feeds = targets.map(({ source }) => (source.kind === 'input' ? source.name : ''));
  const original = { ...model, graph: { ...model.graph, initializers: new Map(model.graph.initializers) } };
  original.graph.inputs = targets.map((x, i) => ({ name: feeds[i]!, dataType: 'float' as const, shape: x.shape }));
  for (const name of feeds) original.graph.initializers.delete(name);

  const [ofNode, ofStep] = (await Promise.all([original, step].map(runnableInDoubles))).map(
    (run) => (data: readonly Float64Array[]) =>
      run(Object.fromEntries(data.map((list, i) => [feeds[i]!, { dims: shapes[i]!, data: list }] as const))),
  ) as [Run, Run];
  const inFloats = await runnable(original);
  const by = 1e-5;
  const values = shapes.map((shape, i) => valuesOf(size(shape), i, one));
  const node = (await ofNode(values))[`y${one.of ?? 0}`]!;
  // what computes in doubles computes what ONNX Runtime does
  const floats = values.map((list, i) => [feeds[i]!, { dims: shapes[i]!, data: Float32Array.from(list) }] as const);
  const runtime = (await inFloats(Object.fromEntries(floats)))[`y${one.of ?? 0}`]!;
  const strayed = Math.max(...node.data.map((value, i) => relative(runtime[i]!, value)));
  const { y: result, ...gradientsOfStep } = await ofStep(values);
  const lossAt = async (input: number, element: number, to: number) => {
    const moved = values.map((list, i) => (i === input ? list.map((v, at) => (at === element ? v + to : v)) : list));
    const { data } = (await ofNode(moved))[`y${one.of ?? 0}`]!;
    return data.reduce((sum, value, i) => sum + value * weights[i]!, 0);
  };
  const worst: number[] = [];
  let steepest = 0;
  for (const [input, list] of values.entries()) {
    const analytic = gradientsOfStep[`g${input}`]!;
    if (!op.sameShape(analytic.dims, shapes[input]!)) throw new Error(`gradient ${input} is [${analytic.dims}]`);
    for (let k = 0; k < list.length; k++) {
      const wanted = ((await lossAt(input, k, by)) - (await lossAt(input, k, -by))) / (2 * by);
      worst[input] = Math.max(worst[input] ?? 0, relative(analytic.data[k]!, wanted));
      steepest = Math.max(steepest, Math.abs(wanted));
    }
  }
  const apart = Math.max(...node.data.map((value, i) => relative(result!.data[i]!, value)));
  return { strayed, shapes: [node.dims, result!.dims, y.shape], apart, worst, steepest };
}

const relative = (got: number, wanted: number) => {
  const error = Math.abs(got - wanted) / (1 + Math.abs(wanted));
  return Number.isNaN(error) ? Infinity : error;
};

const isShape = (operand: NonNullable<NodeCase['x'][number]>): operand is Shape => Array.isArray(operand);

const attributeOf = (value: Attribute | number | string | readonly number[]): Attribute =>
  typeof value === 'object' && 'kind' in value ? value : attribute(value);

function valuesOf(count: number, i: number, { domain, distinct, values: given }: NodeCase): Float64Array {
  if (given) return Float64Array.from(given[i]!);
  if (!distinct) return Float64Array.from(numbers(count, { ...domain, seed: i + 1 }));
  const order = numbers(count, { seed: i + 5 });
  const ranks = [...order.keys()].sort((a, b) => order[a]! - order[b]!);
  const values = new Float64Array(count);
  // offset between the operands, so that they do not tie with each other
  ranks.forEach((at, rank) => (values[at] = (rank - count / 2 + 0.3 * (i + 1)) * 0.1));
  return values;
}
