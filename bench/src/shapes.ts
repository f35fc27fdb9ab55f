import { attribute, elementCount, floatTensor, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';

/** A network with the sizes of a known one and random weights: its speed is that one's, its answers are nobody's. */
export interface Shape {
  readonly words: string;
  /** Of the input "x". */
  readonly input: readonly number[];
  build(): Model;
}

export const shapes: Readonly<Record<'resnet50' | 'mobilenetv2' | 'bert' | 'mlp', Shape>> = {
  resnet50: { words: 'ResNet-50, one image of 224x224', input: [1, 3, 224, 224], build: resnet50 },
  mobilenetv2: { words: 'MobileNetV2, one image of 224x224', input: [1, 3, 224, 224], build: mobilenetV2 },
  bert: { words: 'BERT of 6 layers, 128 tokens', input: [1, 128, 768], build: bert },
  mlp: { words: 'MLP 8x1024, batch 32', input: [32, 1024], build: mlp },
};

/** Numbers about as large as a normal distribution's with that deviation, the same every time. */
export function noise(count: number, deviation: number, seed: number): Float32Array {
  let state = seed >>> 0 || 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  // a sum of four uniform numbers has variance 1/3
  return Float32Array.from(
    { length: count },
    () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3) * deviation,
  );
}

/** Appends nodes to a graph from "x"; every method returns the name of a value. */
function drawing() {
  const nodes: Node[] = [];
  const tensors: Tensor[] = [];
  const name = () => `v${nodes.length}`;
  const constant = (dims: readonly number[], deviation: number) => {
    const tensor = floatTensor(
      `w${tensors.length}`,
      [...dims],
      noise(elementCount(dims), deviation, tensors.length + 1),
    );
    tensors.push(tensor);
    return tensor.name;
  };
  const op = (type: string, inputs: string[], attributes: Parameters<typeof makeNode>[3] = {}) => {
    const output = name();
    nodes.push(makeNode(type, inputs, [output], attributes, output));
    return output;
  };
  const scalar = (value: number) => {
    const tensor = floatTensor(`w${tensors.length}`, [], [value]);
    tensors.push(tensor);
    return tensor.name;
  };
  const ints = (values: number[]) => {
    const tensor = int64Tensor(`w${tensors.length}`, [values.length], values);
    tensors.push(tensor);
    return tensor.name;
  };
  const conv = (x: string, from: number, to: number, kernel: number, stride = 1, groups = 1) => {
    const fan = (from / groups) * kernel * kernel;
    const weights = [constant([to, from / groups, kernel, kernel], Math.sqrt(2 / fan)), constant([to], 0.01)];
    const pad = kernel >> 1;
    return op('Conv', [x, ...weights], {
      kernel_shape: attribute([kernel, kernel]),
      pads: attribute([pad, pad, pad, pad]),
      strides: attribute([stride, stride]),
      group: attribute(groups),
    });
  };
  const gemm = (x: string, from: number, to: number) =>
    op('Gemm', [x, constant([from, to], Math.sqrt(2 / from)), constant([to], 0.01)]);
  const dense = (x: string, from: number, to: number) =>
    op('Add', [op('MatMul', [x, constant([from, to], Math.sqrt(1 / from))]), constant([to], 0.01)]);
  const model = (input: readonly number[]): Model => ({
    irVersion: 9,
    opsets: new Map([['', 18]]),
    producer: 'bench',
    metadata: new Map(),
    functions: [],
    graph: {
      name: 'bench',
      nodes,
      initializers: new Map(tensors.map((tensor) => [tensor.name, tensor])),
      sparseInitializers: new Map(),
      inputs: [{ name: 'x', dataType: 'float', shape: ['n', ...input.slice(1)] }],
      outputs: [{ name: nodes.at(-1)!.outputs[0]!, dataType: 'float', shape: undefined }],
      valueInfo: [],
    },
  });
  return { op, constant, scalar, ints, conv, gemm, dense, model };
}

/** He et al. 2016, batch normalizations folded. */
function resnet50(): Model {
  const { op, conv, gemm, model } = drawing();
  const relu = (x: string) => op('Relu', [x]);
  let x = relu(conv('x', 3, 64, 7, 2));
  x = op('MaxPool', [x], {
    kernel_shape: attribute([3, 3]),
    strides: attribute([2, 2]),
    pads: attribute([1, 1, 1, 1]),
  });
  let channels = 64;
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const width = 64 << stage;
    for (let block = 0; block < blocks; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      const inner = relu(conv(relu(conv(x, channels, width, 1)), width, width, 3, stride));
      const shortcut = block === 0 ? conv(x, channels, 4 * width, 1, stride) : x;
      x = relu(op('Add', [conv(inner, width, 4 * width, 1), shortcut]));
      channels = 4 * width;
    }
  }
  gemm(op('Flatten', [op('GlobalAveragePool', [x])]), channels, 1000);
  return model(shapes.resnet50.input);
}

/** Sandler et al. 2018: channels, repeats and stride of each group of blocks, whose expansion is 6 after the first. */
const bottlenecks = [
  [16, 1, 1],
  [24, 2, 2],
  [32, 3, 2],
  [64, 4, 2],
  [96, 3, 1],
  [160, 3, 2],
  [320, 1, 1],
] as const;

function mobilenetV2(): Model {
  const { op, conv, gemm, scalar, model } = drawing();
  const [zero, six] = [scalar(0), scalar(6)];
  const clip = (x: string) => op('Clip', [x, zero, six]);
  let x = clip(conv('x', 3, 32, 3, 2));
  let channels = 32;
  for (const [i, [to, repeats, stride]] of bottlenecks.entries()) {
    for (let block = 0; block < repeats; block++) {
      const wide = channels * (i === 0 ? 1 : 6);
      const expanded = i === 0 ? x : clip(conv(x, channels, wide, 1));
      const moved = clip(conv(expanded, wide, wide, 3, block === 0 ? stride : 1, wide));
      const projected = conv(moved, wide, to, 1);
      x = block > 0 ? op('Add', [x, projected]) : projected;
      channels = to;
    }
  }
  x = op('GlobalAveragePool', [clip(conv(x, channels, 1280, 1))]);
  gemm(op('Flatten', [x]), 1280, 1000);
  return model(shapes.mobilenetv2.input);
}

/** Six layers of BERT base (Devlin et al. 2019) after the embeddings. */
function bert(): Model {
  const [tokens, width, heads] = [128, 768, 12];
  const { op, constant, scalar, ints, dense, model } = drawing();
  const [split, joined] = [ints([0, 0, heads, width / heads]), ints([0, 0, width])];
  const [scale, half, one, root] = [scalar(1 / Math.sqrt(width / heads)), scalar(0.5), scalar(1), scalar(Math.SQRT2)];
  const heading = (x: string, perm: number[]) =>
    op('Transpose', [op('Reshape', [dense(x, width, width), split])], { perm: attribute(perm) });
  const norm = (x: string) =>
    op('LayerNormalization', [x, constant([width], 1), constant([width], 0.01)], { axis: attribute(-1) });
  const gelu = (x: string) => {
    const inner = op('Add', [op('Erf', [op('Div', [x, root])]), one]);
    return op('Mul', [op('Mul', [x, inner]), half]);
  };
  let x = 'x';
  for (let layer = 0; layer < 6; layer++) {
    const [query, key, value] = [heading(x, [0, 2, 1, 3]), heading(x, [0, 2, 3, 1]), heading(x, [0, 2, 1, 3])];
    const scores = op('Mul', [op('MatMul', [query, key]), scale]);
    const mixed = op('MatMul', [op('Softmax', [scores], { axis: attribute(-1) }), value]);
    const merged = op('Reshape', [op('Transpose', [mixed], { perm: attribute([0, 2, 1, 3]) }), joined]);
    x = norm(op('Add', [dense(merged, width, width), x]));
    x = norm(op('Add', [dense(gelu(dense(x, width, 4 * width)), 4 * width, width), x]));
  }
  return model([1, tokens, width]);
}

function mlp(): Model {
  const { op, gemm, model } = drawing();
  let x = 'x';
  for (let layer = 0; layer < 8; layer++) x = gemm(layer > 0 ? op('Relu', [x]) : x, 1024, 1024);
  return model(shapes.mlp.input);
}
