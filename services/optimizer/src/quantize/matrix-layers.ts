import { byteLength, floatView, floatsOf } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { floatConstantOf, floatOf, intAttribute, isLeftOut } from '../constant-of.js';
import type { KeepsFloats } from './quantization-plan.js';
import type { Matrix } from './weight-blocks.js';

/** A product of something computed with a constant matrix. */
export interface MatrixLayer {
  readonly node: Node;
  /** As it is stored. */
  readonly weights: Tensor;
  /** Whether a MatMul takes its rows as columns. */
  readonly isTurned: boolean;
  /** As a MatMul takes it, Gemm's factor within; the values are computed whenever they are asked for. */
  readonly matrix: Matrix;
  /** What is added to every row, Gemm's factor within. */
  readonly bias: { readonly name: string; readonly values: Float32Array } | undefined;
}

/**
 * MatMul and Gemm whose right side is a constant matrix, or a turned one, as a head has that is tied to an embedding; in
 * graph order. A Gemm is one where its left side is not turned. Of those that take one constant in different ways, such as
 * turned and not, the first is.
 */
export function matrixLayers({ graph }: Model, keepsFloats: KeepsFloats = () => false): MatrixLayer[] {
  const ways = new Map<Tensor, string>();
  return graph.nodes.flatMap((node) => {
    const layer = keepsFloats(node) ? undefined : layerOf(graph, node);
    if (!layer) return [];
    const way = `${layer.isTurned} ${alphaOf(node)}`;
    const first = ways.get(layer.weights) ?? way;
    ways.set(layer.weights, first);
    return first === way ? [layer] : [];
  });
}

function layerOf(graph: Graph, node: Node): MatrixLayer | undefined {
  if (node.domain !== '' || !['MatMul', 'Gemm'].includes(node.opType)) return undefined;
  const before = turnedBefore(graph, node.inputs[1]);
  const weights = floatConstantOf(graph, before ?? node.inputs[1]);
  if (weights?.dims.length !== 2) return undefined;
  const isGemm = node.opType === 'Gemm';
  if (isGemm && intAttribute(node, 'transA', 0) !== 0) return undefined;
  const turned = (isGemm && intAttribute(node, 'transB', 0) !== 0) !== (before !== undefined);
  const [rows, columns] = weights.dims as [number, number];
  const [k, n] = turned ? [columns, rows] : [rows, columns];
  const biasName = isGemm ? node.inputs[2] : undefined;
  const bias = floatConstantOf(graph, biasName);
  if (!isLeftOut(biasName) && (!bias || ![1, n].includes(byteLength(bias) / 4))) return undefined;
  return {
    node,
    weights,
    isTurned: turned,
    matrix: {
      k,
      n,
      get values() {
        const stored = floatView(weights);
        return scaled(turned ? transposed(stored, n, k) : stored, alphaOf(node));
      },
    },
    bias: bias && { name: biasName!, values: spread(scaled(floatsOf(bias), floatOf(node, 'beta', 1)), n) },
  };
}

/** What a Transpose makes the value of. */
function turnedBefore(graph: Graph, value: string | undefined): string | undefined {
  const node = graph.nodes.find(({ opType, outputs }) => opType === 'Transpose' && outputs[0] === value);
  const perm = node?.attributes.get('perm');
  return perm?.kind === 'ints' && perm.value[0] === 0 ? undefined : node?.inputs[0];
}

const alphaOf = (node: Node) => (node.opType === 'Gemm' ? floatOf(node, 'alpha', 1) : 1);
const scaled = (values: Float32Array, by: number) => (by === 1 ? values : values.map((value) => by * value));
const spread = (values: Float32Array, n: number) =>
  values.length === n ? values : new Float32Array(n).fill(values[0]!);

/** Of a matrix with so many rows and columns. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!;
  }
  return turned;
}
