import { attribute, floatTensor, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';

/** A model from "input" [n, …example] to the last node's output [n, …]. */
export function modelOf(
  example: readonly number[],
  nodes: Node[],
  initializers: readonly Tensor[],
  output: readonly number[],
): Model {
  return {
    irVersion: 9,
    opsets: new Map([['', 18]]),
    producer: 'test',
    metadata: new Map(),
    functions: [],
    graph: {
      name: 'test',
      nodes,
      initializers: new Map(initializers.map((tensor) => [tensor.name, tensor])),
      sparseInitializers: new Map(),
      inputs: [{ name: 'input', dataType: 'float', shape: ['n', ...example] }],
      outputs: [{ name: nodes.at(-1)!.outputs[0]!, dataType: 'float', shape: ['n', ...output] }],
      valueInfo: [],
    },
  };
}

export interface CnnWeights {
  /** [4, 1, 3, 3] and [4]. */
  readonly kernels: ArrayLike<number>;
  readonly kernelBias: ArrayLike<number>;
  /** [256, 10] and [10]. */
  readonly matrix: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
}

/** 64 pixels → 4 kernels of 3 by 3 and a Relu → `features`, 256 numbers. */
const featureNodes = () => [
  makeNode('Reshape', ['input', 'image'], ['pixels']),
  makeNode(
    'Conv',
    ['pixels', 'kernels', 'kernel_bias'],
    ['edges'],
    { kernel_shape: attribute([3, 3]), pads: attribute([1, 1, 1, 1]) },
    'conv',
  ),
  makeNode('Relu', ['edges'], ['positive']),
  makeNode('Flatten', ['positive'], ['features'], { axis: attribute(1) }),
];

const featureWeights = ({ kernels, kernelBias }: Pick<CnnWeights, 'kernels' | 'kernelBias'>) => [
  int64Tensor('image', [4], [-1, 1, 8, 8]),
  floatTensor('kernels', [4, 1, 3, 3], kernels),
  floatTensor('kernel_bias', [4], kernelBias),
];

/** The convolution of a small classifier alone. */
export const featureModel = (weights: Pick<CnnWeights, 'kernels' | 'kernelBias'>): Model =>
  modelOf([64], featureNodes(), featureWeights(weights), [256]);

/** A classifier of 8 by 8 images: probabilities = softmax(features · matrix + bias). */
export const cnn = (weights: CnnWeights): Model =>
  modelOf(
    [64],
    [
      ...featureNodes(),
      makeNode('Gemm', ['features', 'matrix', 'bias'], ['logits'], {}, 'dense'),
      makeNode('Softmax', ['logits'], ['probabilities'], { axis: attribute(-1) }),
    ],
    [
      ...featureWeights(weights),
      floatTensor('matrix', [256, 10], weights.matrix),
      floatTensor('bias', [10], weights.bias),
    ],
    [10],
  );

/** Numbers from −1 to 1, the same every time, no two of the same magnitude. */
export const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i));

export const someCnn = () =>
  cnn({ kernels: numbers(36), kernelBias: numbers(4), matrix: numbers(2560), bias: numbers(10) });
