import { expandFunctions, freshNames, inferValues, topologicallySorted } from '@modelmill/onnx';
import type { Attribute, Model, Node, Tensor } from '@modelmill/onnx';
import { TrainingFormError } from './errors.js';
import { inSet18 } from './forms-of-set-18.js';
import { lowerings } from './lowerings.js';
import type { DropoutMask, Reading } from './reading.js';
import { input } from './value.js';
import type { Value } from './value.js';

/** Of a model that does not say its operator set. */
const latestOpset = 18;

/** A graph's values, ready to be differentiated. */
export interface ReadGraph {
  readonly features: Value;
  readonly output: Value;
  /** Float initializers of at least one axis, in graph order. */
  readonly weights: ReadonlyMap<string, Value>;
  /** Running statistics: the value fed and what the next step is fed. */
  readonly statistics: ReadonlyMap<string, { readonly now: Value; next: Value }>;
  readonly dropout: readonly DropoutMask[];
  /** All of them, by name. */
  readonly values: ReadonlyMap<string, Value>;
}

/**
 * Reads the training form of a model at a static batch size; `exampleShape` gives the sizes that an example's axes leave
 * open. Throws ShapeError and TrainingFormError.
 */
export function readGraph(given: Model, batchSize: number, exampleShape: readonly number[] = []): ReadGraph {
  const model = expandFunctions(given);
  const { graph } = model;
  const free = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const [features] = free;
  const [output] = graph.outputs;
  if (!features || free.length !== 1 || !output || graph.outputs.length !== 1) {
    const got = `${free.length} inputs and ${graph.outputs.length} outputs`;
    throw new TrainingFormError(`training takes a graph of one input and one output, got ${got}`);
  }
  if (!features.dataType || !['float', 'int64', 'int32'].includes(features.dataType) || !features.shape) {
    const got = `input '${features.name}' is ${features.dataType}`;
    throw new TrainingFormError(`${got}, training takes float, or int64 or int32 for tokens`);
  }
  const shape = features.shape.map((size, axis) => {
    if (axis === 0) return batchSize;
    return typeof size === 'number' ? size : (exampleShape[axis - 1] ?? size);
  });
  const open = shape.findIndex((size) => typeof size !== 'number');
  if (open >= 0) {
    throw new TrainingFormError(
      `input '${features.name}' has an open size at axis ${open}: only the batch may be open, unless the example's shape is given`,
    );
  }
  const trainable = trainableWeights(model);
  const { types, constants } = inferValues(model, new Map([[features.name, shape as number[]]]), trainable);

  const values = new Map<string, Value>();
  const fed = input(features.name, shape as number[], features.dataType);
  values.set(features.name, fed);
  const running = runningStatistics(graph.nodes);
  const trained = new Set(trainable);
  const weights = new Map<string, Value>();
  const statistics = new Map<string, { now: Value; next: Value }>();
  for (const [name, tensor] of graph.initializers) {
    const isRunning = tensor.dataType === 'float' && running.has(name);
    const value: Value = isRunning || trained.has(name) ? input(name, tensor.dims) : constantTensor(tensor);
    values.set(name, value);
    if (isRunning) statistics.set(name, { now: value, next: value });
    else if (trained.has(name)) weights.set(name, value);
  }

  const opset = model.opsets.get('') ?? latestOpset;
  const fresh = freshNames([...values.keys()]);
  const dropout: DropoutMask[] = [];
  for (const node of topologicallySorted(graph)) {
    const [only = ''] = node.outputs;
    const folded = constants.get(only);
    if (folded) {
      values.set(only, constantTensor(folded));
      continue;
    }
    const x = node.inputs.map((name) => (name === '' ? undefined : values.get(name)));
    const outputs = node.outputs.map((name) => {
      const type = types.get(name);
      return type ?? { dataType: 'float' as const, shape: [] };
    });
    const reading: Reading = {
      node,
      opset,
      x,
      outputs,
      int: (name, otherwise) => numberOf(node.attributes.get(name), 'int') ?? otherwise,
      float: (name, otherwise) => numberOf(node.attributes.get(name), 'float') ?? otherwise,
      mask(maskShape, rate) {
        const name = fresh(`dropout_mask.${dropout.length}`);
        dropout.push({ name, shape: maskShape, rate });
        return input(name, maskShape);
      },
      number(position, otherwise) {
        const source = x[position]?.source;
        if (source?.kind !== 'tensor') return otherwise;
        const { bytes } = source.tensor;
        return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat32(0, true);
      },
      setStatistic(position, next) {
        const statistic = statistics.get(node.inputs[position] ?? '');
        if (statistic) statistic.next = next;
      },
    };
    const made = lowerings[node.opType]?.(reading) ?? inSet18(reading);
    node.outputs.forEach((name, i) => {
      const value = made[i];
      if (name !== '' && value) values.set(name, value);
    });
  }
  const result = values.get(output.name);
  if (!result) throw new TrainingFormError(`output '${output.name}' is computed by no node`);
  return { features: fed, output: result, weights, statistics, dropout, values };
}

/** Names of the weights of a training form: float initializers of at least one axis that are no statistics. */
export function trainableWeights({ graph }: Model): string[] {
  const { nodes } = graph;
  const kept = new Set([...runningStatistics(nodes), ...settledStatistics(nodes), ...settingsOf(nodes)]);
  const floats = [...graph.initializers].filter(([, { dataType, dims }]) => dataType === 'float' && dims.length > 0);
  return floats.map(([name]) => name).filter((name) => !kept.has(name));
}

const constantTensor = (tensor: Tensor): Value => ({
  source: { kind: 'tensor', tensor },
  dataType: tensor.dataType,
  shape: tensor.dims,
});

const numberOf = (attribute: Attribute | undefined, kind: 'int' | 'float') =>
  attribute?.kind === kind ? attribute.value : undefined;

/** Means and variances of batch normalizations in training mode. */
function runningStatistics(nodes: readonly Node[]): Set<string> {
  return new Set(nodes.filter(isTrainingBatchNorm).flatMap(({ inputs }) => inputs.slice(3, 5)));
}

/** Means and variances of batch normalizations that keep them: they are no weights. */
function settledStatistics(nodes: readonly Node[]): Set<string> {
  const settled = nodes.filter((node) => node.opType === 'BatchNormalization' && !isTrainingBatchNorm(node));
  return new Set(settled.flatMap(({ inputs }) => inputs.slice(3, 5)));
}

/** Floats that say how a node works, by the inputs they come in. */
const settings: Readonly<Record<string, readonly [from: number, to: number]>> = {
  Resize: [1, 3],
  Upsample: [1, 2],
  CastLike: [1, 2],
  RotaryEmbedding: [1, 3],
  QuantizeLinear: [1, 2],
  DequantizeLinear: [1, 2],
};

const settingsOf = (nodes: readonly Node[]): Set<string> =>
  new Set(nodes.flatMap(({ opType, inputs }) => inputs.slice(...(settings[opType] ?? [0, 0]))));

export const isTrainingBatchNorm = ({ opType, attributes }: Node): boolean => {
  const mode = attributes.get('training_mode');
  return opType === 'BatchNormalization' && mode?.kind === 'int' && mode.value !== 0;
};
