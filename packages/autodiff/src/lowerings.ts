import type { Tensor } from '@modelmill/onnx';
import { attention } from './attention.js';
import { dequantized, quantized } from './fake-quantization.js';
import { gelu, geluTanh, writtenGelu } from './gelu.js';
import { instanceNormalization } from './instance-normalization.js';
import * as op from './ops.js';
import { dilatedAveragePool, rectifiedMaxPoolInput, tiles } from './pooling-gradients.js';
import type { Reading } from './reading.js';
import { recurrentLowering } from './recurrent-lowerings.js';
import { padsOf, sourceOf } from './slice-gradients.js';
import { rotaryEmbedding } from './rotary-embedding.js';
import {
  groupNormalization,
  localResponseNormalization,
  lpNormalization,
  meanVarianceNormalization,
  rmsNormalization,
} from './standardized.js';
import { constant, ints, operation, scalar, size } from './value.js';
import type { Value } from './value.js';
import { windowsOf } from './windows.js';

const { add, sub, mul, div } = op;

/**
 * Operators that training computes in another way than inference: with fed random numbers, with the statistics of the
 * batch, with an output that a gradient needs, or because operator set 18 lacks them. Each row gives the node's outputs,
 * or undefined for a node that stays as it is.
 */
export const lowerings: Readonly<Record<string, (reading: Reading) => readonly Value[] | undefined>> = {
  Constant: ({ node }) => {
    const value = node.attributes.get('value');
    return value?.kind === 'tensor' ? [constantOf(value.value)] : [];
  },
  Dropout: ({ x: [x], number, mask }) => {
    const rate = number(1, 0.5);
    return [rate === 0 ? x! : mul(x!, mask(x!.shape, rate))];
  },
  BatchNormalization: (reading) =>
    reading.int('training_mode', 0) === 0 ? [frozenBatchNorm(reading)] : [trainingBatchNorm(reading)],
  InstanceNormalization: (reading) => [instanceNormalization(reading)],
  GroupNormalization: (reading) => [groupNormalization(reading)],
  RMSNormalization: (reading) => [rmsNormalization(reading)],
  MeanVarianceNormalization: (reading) => [meanVarianceNormalization(reading)],
  LRN: (reading) => [localResponseNormalization(reading)],
  LpNormalization: (reading) => [lpNormalization(reading)],
  Attention: attention,
  RotaryEmbedding: (reading) => [rotaryEmbedding(reading)],
  // operator set 10 put Resize in its place
  Upsample: ({ node, x, outputs }) => {
    const mode = node.attributes.get('mode');
    const scales = node.attributes.get('scales');
    const stated = scales?.kind === 'floats' ? constant(scales.value, [scales.value.length]) : x[1];
    return [
      op.make('Resize', [x[0], undefined, stated], outputs[0]!.shape, x[0]!.dataType, {
        mode: mode ?? { kind: 'string', value: 'nearest' },
        coordinate_transformation_mode: { kind: 'string', value: 'asymmetric' },
        nearest_mode: { kind: 'string', value: 'floor' },
      }),
    ];
  },
  LayerNormalization: layerNormalization,
  // the gradient wants the positions, unless there is a cheaper way
  MaxPool: ({ node, x, outputs }) => {
    const { shape, dataType } = outputs[0]!;
    const types = [{ dataType, shape } as const, { dataType: 'int64', shape } as const];
    const made = (attributes: typeof node.attributes) =>
      operation({ opType: node.opType, node: node.name, inputs: x, attributes }, types);
    // the gradient takes positions row by row, whatever way the node's own are counted
    const byRows = new Map([...node.attributes].filter(([name]) => name !== 'storage_order'));
    const [y, ownPositions] = made(byRows);
    const positions = node.attributes.has('storage_order') ? made(node.attributes)[1] : ownPositions;
    const { source } = x[0]!;
    if (source.kind === 'operation' && source.operation.opType === 'Relu' && y!.source.kind === 'operation') {
      const windows = windowsOf(y!.source.operation, x[0]!.shape);
      if (tiles(x[0]!.shape, windows)) {
        y!.shortcut = {
          operands: [source.operation.inputs[0]!],
          gradients: (g) => [() => rectifiedMaxPoolInput(g, x[0]!, y!, windows)],
        };
      }
    }
    return [y!, positions!];
  },
  QuantizeLinear: quantized,
  DequantizeLinear: dequantized,
  Pad: aroundPad,
  AveragePool: ({ node, x: [x], outputs, int }) => {
    const windows = windowsOf({ ...node, node: node.name, inputs: [x], outputs: [] }, x!.shape);
    if (windows.dilations.every((gap) => gap === 1)) return undefined;
    return [dilatedAveragePool(x!, outputs[0]!.shape, windows, int('count_include_pad', 0) !== 0)];
  },
  LSTM: recurrentLowering('LSTM'),
  GRU: recurrentLowering('GRU'),
  RNN: recurrentLowering('RNN'),
  Gelu: ({ node, x: [x] }) => {
    const form = node.attributes.get('approximate');
    return [form?.kind === 'string' && form.value === 'tanh' ? geluTanh(x!) : gelu(x!, node.name)];
  },
  Mul: writtenGelu,
  Swish: ({ x: [x], float }) => [mul(x!, op.sigmoid(op.times(x!, float('alpha', 1))))],
};

/**
 * The gradient wants the mean and the inverse deviation, and what is normalized: where nothing is added to that and nobody
 * else takes the first two, it is what the operator gives, and the scale comes after.
 */
function layerNormalization({ node, x: [x, scale, bias], int }: Reading): readonly Value[] {
  const { shape, dataType } = x!;
  const axis = int('axis', -1);
  const from = axis < 0 ? axis + shape.length : axis;
  const reduced = { dataType, shape: shape.map((length, i) => (i < from ? length : 1)) };
  const made = (by: Value) =>
    operation({ opType: node.opType, node: node.name, inputs: [x, by, bias], attributes: node.attributes }, [
      { dataType, shape },
      reduced,
      reduced,
    ]);
  if (bias || node.outputs.slice(1).some((name) => name !== '')) return made(scale!);
  return [mul(made(constant(new Float32Array(size(scale!.shape)).fill(1), scale!.shape))[0]!, scale!)];
}

/** Operator set 18 has no padding that goes around; positions do the same. */
function aroundPad({ node, x, outputs }: Reading): readonly Value[] | undefined {
  const mode = node.attributes.get('mode');
  if (mode?.kind !== 'string' || mode.value !== 'wrap') return undefined;
  const [before] = padsOf(x, x[0]!);
  return [
    op.axesOf(x[0]!).reduce((wide, axis) => {
      const length = x[0]!.shape[axis]!;
      const count = outputs[0]!.shape[axis]!;
      const from = Array.from({ length: count }, (_, i) => sourceOf(i - before[axis]!, length, 'wrap'));
      return op.gather(wide, ints(from), axis);
    }, x[0]!),
  ];
}

const constantOf = (tensor: Tensor): Value => ({
  source: { kind: 'tensor', tensor },
  dataType: tensor.dataType,
  shape: tensor.dims,
});

/** One number per channel, as an operand of [n, channels, …]. */
const perChannel = (v: Value, x: Value): Value => op.reshape(v, [v.shape[0]!, ...x.shape.slice(2).map(() => 1)]);

/** With statistics that stay: they are folded into one scale and one offset per channel. */
function frozenBatchNorm({ x: [x, scale, bias, mean, variance], float }: Reading): Value {
  const deviation = op.sqrt(add(variance!, scalar(float('epsilon', 1e-5))));
  const factor = div(scale!, deviation);
  return add(mul(x!, perChannel(factor, x!)), perChannel(sub(bias!, mul(mean!, factor)), x!));
}

/** With the statistics of the batch (Ioffe and Szegedy 2015); the running ones move a little towards them. */
function trainingBatchNorm({ x: [x, scale, bias, mean, variance], float, setStatistic }: Reading): Value {
  const epsilon = float('epsilon', 1e-5);
  const momentum = float('momentum', 0.9);
  const axes = [...x!.shape.keys()].filter((axis) => axis !== 1);
  const channels = scale!.shape;
  const batchMean = op.reduceMean(x!, axes, true);
  const centred = sub(x!, batchMean);
  const batchVariance = op.reduceMean(mul(centred, centred), axes, true);
  const inverse = op.reciprocal(op.sqrt(add(batchVariance, scalar(epsilon))));
  const normalized = mul(centred, inverse);
  const moved = (running: Value, batch: Value) =>
    add(op.times(running, momentum), op.times(op.reshape(batch, channels), 1 - momentum));
  setStatistic(3, moved(mean!, batchMean));
  setStatistic(4, moved(variance!, batchVariance));

  const result = add(mul(normalized, perChannel(scale!, x!)), perChannel(bias!, x!));
  const examples = size(x!.shape) / channels[0]!;
  result.shortcut = {
    operands: [x!, scale!, bias!],
    gradients: (g) => {
      const toScale = op.reduceSum(mul(g, normalized), axes, true);
      const toBias = op.reduceSum(g, axes, true);
      return [
        () =>
          mul(
            mul(perChannel(scale!, x!), inverse),
            sub(sub(g, op.times(toBias, 1 / examples)), mul(normalized, op.times(toScale, 1 / examples))),
          ),
        () => op.reshape(toScale, channels),
        () => op.reshape(toBias, channels),
      ];
    },
  };
  return result;
}
