import { AdmissionError } from './admission-error.js';
import type { DataType, Graph, Node, Tensor } from './model.js';
import { sizes } from './quoted.js';
import { elementCount } from './tensor.js';

/** A node to look at, and how messages call it. */
interface Question {
  readonly node: Node;
  readonly named: string;
  /** The constant at a position of the inputs; undefined for what is left out, computed or fed. */
  constant(position: number): Tensor | undefined;
  int(name: string, otherwise?: number): number;
}

type Check = (question: Question) => void;

/**
 * The few operators of ONNX Runtime itself that this mesh writes, and what each trusts its node to say: constants of just
 * the sizes that fit (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 */
const checks: Readonly<Record<string, Check>> = {
  MatMulNBits: checkMatMulNBits,
  GatherBlockQuantized: checkGatherBlockQuantized,
  MatMulIntegerToFloat: (question) => checkScales(question, [[2, 4]], [[3, 5]]),
  QGemm: (question) => checkScales(question, [[1, 2], ...given(question, [7, 8])], [[4, 5]]),
  QLinearAdd: (question) => checkScales(question, [[1, 2], [4, 5], [6, 7]]), // prettier-ignore
  QLinearMul: (question) => checkScales(question, [[1, 2], [4, 5], [6, 7]]), // prettier-ignore
  QLinearAveragePool: (question) => checkScales(question, [[1, 2], [3, 4]]), // prettier-ignore
  QLinearGlobalAveragePool: (question) => checkScales(question, [[1, 2], [3, 4]]), // prettier-ignore
  QLinearLeakyRelu: (question) => checkScales(question, [[1, 2], [3, 4]]), // prettier-ignore
  QLinearSigmoid: (question) => checkScales(question, [[1, 2], [3, 4]]), // prettier-ignore
  QLinearConcat: (question) => {
    const parts = Math.floor((question.node.inputs.length - 2) / 3);
    checkScales(question, [[0, 1], ...Array.from({ length: parts }, (_, i): Pair => [3 * i + 3, 3 * i + 4])]);
  },
};

export const isContribOperator = (opType: string): boolean => Object.hasOwn(checks, opType);

/** Throws an AdmissionError where a node of one of these operators does not fit together. */
export function checkContribOperator(node: Node, named: string, graph: Graph): void {
  const fed = new Set(graph.inputs.map(({ name }) => name));
  checks[node.opType]!({
    node,
    named,
    constant: (position) => {
      const name = node.inputs[position] ?? '';
      return fed.has(name) ? undefined : graph.initializers.get(name);
    },
    int: (name, otherwise = 0) => {
      const found = node.attributes.get(name);
      return found?.kind === 'int' ? found.value : otherwise;
    },
  });
}

/** Positions of a scale and its zero point. */
type Pair = readonly [scale: number, zeroPoint: number];

/** A pair that may be left out. */
const given = ({ node }: Question, pair: Pair): Pair[] => (node.inputs[pair[0]] ? [pair] : []);

/** One number each for values; as many as they have channels for weights. */
function checkScales(question: Question, ofValues: readonly Pair[], ofWeights: readonly Pair[] = []): void {
  for (const [scale, zeroPoint] of ofValues) {
    expect(question, scale, ['float'], [[], [1]]);
    expect(question, zeroPoint, ['uint8', 'int8'], [[], [1]]);
  }
  for (const [scale, zeroPoint] of ofWeights) {
    const channels = elementCount(question.constant(scale)?.dims ?? []);
    const forms = channels === 1 ? [[], [1]] : [[channels]];
    expect(question, scale, ['float'], forms);
    expect(question, zeroPoint, ['uint8', 'int8'], forms);
  }
}

const blockSizes = [16, 32, 64, 128, 256];

function checkMatMulNBits(question: Question): void {
  const { node, named, constant, int } = question;
  const [k, n, bits, block] = [int('K'), int('N'), int('bits', 4), int('block_size')];
  if (!(k > 0 && n > 0 && [2, 4, 8].includes(bits) && blockSizes.includes(block))) {
    throw new AdmissionError(
      `node ${named} has K ${k}, N ${n}, bits ${bits} and block_size ${block}, wants 2, 4 or 8 bits and blocks of 16 to 256`,
    );
  }
  const blocks = Math.ceil(k / block);
  expect(question, 1, ['uint8'], [[n, blocks, (block * bits) / 8]]);
  expect(question, 2, ['float'], [[n, blocks], [n * blocks]]);
  if (node.inputs[3]) {
    const packed = Math.ceil((blocks * bits) / 8);
    const isFloat = constant(3)?.dataType === 'float';
    const forms = isFloat ? [[n, blocks], [n * blocks]] : [[n, packed], [n * packed]];
    expect(question, 3, [isFloat ? 'float' : 'uint8'], forms);
  }
  if (node.inputs.slice(4).some((name) => name !== '')) {
    throw new AdmissionError(`node ${named} has more inputs than zero points`);
  }
}

/** Rows of a table, looked up along its first axis, in blocks along its last. */
function checkGatherBlockQuantized(question: Question): void {
  const { node, named, constant, int } = question;
  const [gathered, along, block] = [int('gather_axis'), int('quantize_axis', 1), int('block_size', 128)];
  if (gathered !== 0 || along !== 1 || !blockSizes.includes(block)) {
    throw new AdmissionError(
      `node ${named} has gather_axis ${gathered}, quantize_axis ${along} and block_size ${block}, wants 0, 1 and blocks of 16 to 256`,
    );
  }
  const [rows = 0, columns = 0] = constant(0)?.dims ?? [];
  expect(question, 0, ['uint4', 'int4'], [[rows, columns]]);
  expect(question, 2, ['float'], [[rows, Math.ceil(columns / block)]]);
  if (node.inputs[3]) expect(question, 3, [constant(0)!.dataType], [[rows, Math.ceil(columns / block)]]);
}

function expect(
  { node, named, constant }: Question,
  position: number,
  types: readonly DataType[],
  forms: readonly (readonly number[])[],
): void {
  const got = constant(position);
  const sized = got !== undefined && forms.some((form) => sizes(form) === sizes(got.dims));
  if (sized && types.includes(got.dataType)) return;
  const said = got ? `${got.dataType} ${sizes(got.dims)}` : 'no constant';
  throw new AdmissionError(
    `node ${named} has '${node.inputs[position] ?? ''}', ${said}, wants ${types.join(' or ')} ${sizes(forms[0]!)}`,
  );
}
