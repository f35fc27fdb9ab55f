import { emptyGraph, freshNames, inferShapes, removeUnused, topologicallySorted } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';
import { startBuilding } from '../build-layers.js';
import type { BuiltLayer } from '../build-layers.js';
import { LayerError, TrainingFormError } from '../errors.js';
import type { LayerSpec } from '../layer-spec.js';

/** What takes the place of a graph's end. */
export interface Head {
  /** The value the new layers read; unset: what the last Gemm or MatMul by a weight reads. */
  readonly after?: string;
  readonly layers: readonly LayerSpec[];
}

interface Surroundings {
  /** Sizes of one example, for axes that the graph leaves open. */
  readonly exampleShape: readonly number[];
  readonly random: (stream: number, count: number) => Float32Array;
}

/** Ends a graph with new layers, in place. Throws TrainingFormError and LayerError. */
export function replaceHead(
  model: Model,
  { after, layers }: Head,
  { exampleShape, random }: Surroundings,
): BuiltLayer[] {
  const { graph } = model;
  const from = after ?? lastProductOf(graph).inputs[0]!;
  const shape = shapeOf(model, from, exampleShape);
  const own = emptyGraph('head');
  const start = 'head input';
  const building = startBuilding(own, { value: start, shape, random, vocabulary: undefined });
  building.addAll(layers, 'head', 'base.head.layers');
  expectKnown(own.nodes, model.opsets.get('') ?? 1);

  const fresh = freshNames(valuesOf(graph));
  const names = new Map([
    ['', ''],
    [start, from],
  ]);
  const renamed = (name: string) => {
    const known = names.get(name) ?? fresh(name);
    names.set(name, known);
    return known;
  };
  for (const [name, tensor] of own.initializers) {
    graph.initializers.set(renamed(name), { ...tensor, name: renamed(name) });
  }
  for (const node of own.nodes) {
    const [inputs, outputs] = [node.inputs.map(renamed), node.outputs.map(renamed)];
    graph.nodes.push({ ...node, name: `${outputs.find((name) => name !== '')}`, inputs, outputs });
  }
  const open = graph.inputs.some(({ shape: sizes }) => sizes?.slice(1).some((size) => typeof size !== 'number'));
  const sizes = building.shape.map((size, i) => (open && i < building.shape.length - 1 ? `size${i}` : size));
  graph.outputs = [{ name: renamed(building.value), dataType: 'float', shape: ['batch', ...sizes] }];
  removeUnused(graph);
  return building.built;
}

/** The last matrix product by a weight on the way to the output. */
function lastProductOf(graph: Graph): Node {
  const isProduct = ({ opType, inputs }: Node) =>
    (opType === 'Gemm' || opType === 'MatMul') && graph.initializers.has(inputs[1] ?? '');
  const found = topologicallySorted(graph).filter(isProduct).at(-1);
  if (!found)
    throw new TrainingFormError('the base has no Gemm or MatMul by a weight: base.head.after must name a value');
  return found;
}

function shapeOf(model: Model, value: string, exampleShape: readonly number[]): readonly number[] {
  const batch = 7; // a size that examples seldom have
  const { graph } = model;
  const [features] = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const sizes = (features?.shape ?? []).map((size, axis) => {
    if (axis === 0) return batch;
    return typeof size === 'number' ? size : exampleShape[axis - 1]!;
  });
  const types = inferShapes(model, new Map(features ? [[features.name, sizes]] : []));
  const type = graph.initializers.has(value) ? undefined : types.get(value);
  if (!type) throw new TrainingFormError(`base.head.after is '${value}', which no node of the base computes`);
  if (type.dataType !== 'float' || type.shape[0] !== batch) {
    throw new TrainingFormError(`base.head.after is '${value}', wants floats whose first axis is the batch`);
  }
  return type.shape.slice(1);
}

function valuesOf({ nodes, inputs, initializers }: Graph): Set<string> {
  return new Set([
    ...nodes.flatMap(({ name, outputs }) => [name, ...outputs]),
    ...inputs.map(({ name }) => name),
    ...initializers.keys(),
  ]);
}

/** Operator sets from which on operators say what layers say by them. */
const since: Readonly<Record<string, number>> = {
  LayerNormalization: 17,
  ReduceMean: 18,
  ReduceMax: 18,
  GRU: 14,
  LSTM: 14,
  Split: 13,
  Squeeze: 13,
  Softmax: 13,
  Dropout: 12,
};

function expectKnown(nodes: readonly Node[], opset: number): void {
  const newer = nodes.find(({ opType }) => (since[opType] ?? 0) > opset);
  if (!newer) return;
  throw new LayerError(
    `base.head.layers: ${newer.opType} of '${newer.name}' wants operator set ${since[newer.opType]}, ` +
      `the base has ${opset}: export it with a newer one`,
  );
}
