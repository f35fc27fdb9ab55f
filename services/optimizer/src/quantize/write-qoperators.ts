import { consumersOf, producerOf, removeNode, removeUnused } from '@modelmill/onnx';
import type { Graph, Model, Node } from '@modelmill/onnx';

/** A value in eight bits, by the names of what says so. */
interface Quantized {
  readonly value: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** What a node between DequantizeLinear and QuantizeLinear takes and gives. */
interface Surrounded {
  readonly node: Node;
  /** Its operands in eight bits, in order; undefined: one that is left out, or that is no operand. */
  readonly operands: readonly (Quantized | undefined)[];
  /** Undefined where it gives floats. */
  readonly result: Quantized | undefined;
}

interface IntegerForm {
  readonly opType: string;
  readonly domain: '' | 'com.microsoft';
  readonly inputs: readonly string[];
}

type Rule = (surrounded: Surrounded) => IntegerForm | undefined;

const microsoft = 'com.microsoft';
const all = ({ value, scale, zeroPoint }: Quantized) => [value, scale, zeroPoint];
const scaleOf = ({ scale, zeroPoint }: Quantized) => [scale, zeroPoint];

/** An operator of ONNX Runtime that computes what one operand holds. */
const unary =
  (opType: string): Rule =>
  ({ operands: [x], result }) =>
    x && result && { opType, domain: microsoft, inputs: [...all(x), ...scaleOf(result)] };

const binary =
  (opType: string): Rule =>
  ({ operands: [a, b], result }) =>
    a && b && result && { opType, domain: microsoft, inputs: [...all(a), ...all(b), ...scaleOf(result)] };

/** The operator itself, which picks and moves integers as it does floats. */
const moving: Rule = ({ node, operands: [x], result }) =>
  x && result && x.scale === result.scale && x.zeroPoint === result.zeroPoint
    ? { opType: node.opType, domain: '', inputs: [x.value, ...node.inputs.slice(1)] }
    : undefined;

/** Products without a Q behind them give floats. */
const product: Rule = ({ operands: [a, b], result }) => {
  if (!a || !b) return undefined;
  if (result) return { opType: 'QLinearMatMul', domain: '', inputs: [...all(a), ...all(b), ...scaleOf(result)] };
  const inputs = [a.value, b.value, a.scale, b.scale, a.zeroPoint, b.zeroPoint];
  return { opType: 'MatMulIntegerToFloat', domain: microsoft, inputs };
};

const rules: Readonly<Record<string, Rule>> = {
  Conv: ({ operands: [x, w, bias], result }) =>
    x &&
    w &&
    result && {
      opType: 'QLinearConv',
      domain: '',
      inputs: [...all(x), ...all(w), ...scaleOf(result), ...(bias ? [bias.value] : [])],
    },
  Gemm: ({ operands: [a, b, bias], result }) =>
    a &&
    b && {
      opType: 'QGemm',
      domain: microsoft,
      inputs: [...all(a), ...all(b), bias?.value ?? '', ...(result ? scaleOf(result) : [])],
    },
  MatMul: product,
  Add: binary('QLinearAdd'),
  Mul: binary('QLinearMul'),
  Concat: ({ operands, result }) => {
    const parts = operands.filter((operand) => operand !== undefined);
    if (!result || parts.length < operands.length) return undefined;
    return { opType: 'QLinearConcat', domain: microsoft, inputs: [...scaleOf(result), ...parts.flatMap(all)] };
  },
  AveragePool: (it) => (it.node.attributes.has('dilations') ? undefined : unary('QLinearAveragePool')(it)),
  GlobalAveragePool: unary('QLinearGlobalAveragePool'),
  LeakyRelu: unary('QLinearLeakyRelu'),
  Sigmoid: unary('QLinearSigmoid'),
  Flatten: moving,
  Identity: moving,
  MaxPool: moving,
  Reshape: moving,
  Squeeze: moving,
  Transpose: moving,
  Unsqueeze: moving,
};

/**
 * Writes integer operators (QLinearConv, QLinearMatMul, and those of ONNX Runtime) in place of the float ones that a QDQ
 * model has between DequantizeLinear and QuantizeLinear, in place: what ONNX Runtime makes of a QDQ model when it loads
 * it. What has no integer form keeps its pairs. Returns how many nodes it replaced.
 */
export function writeQOperators({ graph, opsets }: Model): number {
  let replaced = 0;
  for (const node of [...graph.nodes]) {
    const rule = node.domain === '' && node.outputs.length === 1 ? rules[node.opType] : undefined;
    if (!rule) continue;
    const quantize = onlyQuantize(graph, node.outputs[0]!);
    const operands = node.inputs.map((input) => dequantized(graph, input));
    const form = rule({ node, operands, result: quantize && quantizedBy(quantize) });
    if (!form) continue;
    if (form.domain !== '') opsets.set(form.domain, 1);
    if (quantize) removeNode(graph, quantize);
    graph.nodes[graph.nodes.indexOf(node)] = {
      ...node,
      ...form,
      inputs: [...form.inputs],
      outputs: [...(quantize ?? node).outputs],
    };
    replaced++;
  }
  removeUnused(graph);
  return replaced;
}

/** The QuantizeLinear that alone reads a value. */
function onlyQuantize(graph: Graph, value: string): Node | undefined {
  if (graph.outputs.some(({ name }) => name === value)) return undefined;
  const [reader, another] = consumersOf(graph, value);
  return reader?.opType === 'QuantizeLinear' && reader.domain === '' && !another ? reader : undefined;
}

const quantizedBy = ({ inputs: [, scale, zeroPoint], outputs: [value] }: Node): Quantized => ({
  value: value!,
  scale: scale!,
  zeroPoint: zeroPoint!,
});

function dequantized(graph: Graph, name: string): Quantized | undefined {
  const producer = producerOf(graph, name);
  if (producer?.opType !== 'DequantizeLinear' || producer.domain !== '') return undefined;
  const [value, scale, zeroPoint] = producer.inputs as [string, string, string];
  return { value, scale, zeroPoint };
}
