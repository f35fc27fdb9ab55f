import { known } from './shape-question.js';
import type { ShapeQuestion, ShapeRule, StaticType } from './shape-question.js';

/** An operator on integers: the float one whose shapes it has, and which of its inputs are that one's. */
type IntegerForm = readonly [floats: string, operands: readonly number[]];

type Rules = Readonly<Record<string, ShapeRule>>;

/** The type of what a float operator makes of some of the inputs. */
const as = (rules: Rules, [opType, operands]: IntegerForm, question: ShapeQuestion): StaticType =>
  rules[opType]!({ ...question, x: operands.map((position) => question.x[position]) })[0]!;

const sameType = (rules: Rules, forms: Readonly<Record<string, IntegerForm>>): Rules =>
  Object.fromEntries(
    Object.entries(forms).map(([name, form]): [string, ShapeRule] => [name, (question) => [as(rules, form, question)]]),
  );

/** Operators of ai.onnx that compute in integers, by the rules of the float ones. */
export const quantizedShapes = (rules: Rules): Rules => ({
  ...sameType(rules, { QLinearConv: ['Conv', [0, 3]], QLinearMatMul: ['MatMul', [0, 3]] }),
  MatMulInteger: (question) => [{ ...as(rules, ['MatMul', [0, 1]], question), dataType: 'int32' }],
  ConvInteger: (question) => [{ ...as(rules, ['Conv', [0, 1]], question), dataType: 'int32' }],
  DynamicQuantizeLinear: ({ x: [x] }) => [
    { dataType: 'uint8', shape: known(x).shape },
    { dataType: 'float', shape: [] },
    { dataType: 'uint8', shape: [] },
  ],
});

/** Operators of ONNX Runtime itself. */
export const contribShapes = (rules: Rules): Rules => ({
  ...sameType(rules, {
    QLinearAdd: ['Add', [0, 3]],
    QLinearMul: ['Mul', [0, 3]],
    QLinearAveragePool: ['AveragePool', [0]],
    QLinearGlobalAveragePool: ['GlobalAveragePool', [0]],
    QLinearLeakyRelu: ['LeakyRelu', [0]],
    QLinearSigmoid: ['Sigmoid', [0]],
  }),
  QLinearConcat: (question) => {
    const operands = question.x.flatMap((_, position) => (position % 3 === 2 ? [position] : []));
    return [as(rules, ['Concat', operands], question)];
  },
  QGemm: (question) => {
    const made = as(rules, ['Gemm', [0, 3]], question);
    return [question.x[7] ? made : { ...made, dataType: 'float' }]; // without a scale for it the result is float
  },
  MatMulIntegerToFloat: (question) => [{ ...as(rules, ['MatMul', [0, 1]], question), dataType: 'float' }],
  FusedMatMul(question) {
    const [a, b] = question.x.map(known);
    const x = [turned(a!, question.int('transA', 0)), turned(b!, question.int('transB', 0))];
    return rules['MatMul']!({ ...question, x });
  },
  MatMulNBits: ({ x: [a], int }) => [
    { dataType: known(a).dataType, shape: [...known(a).shape.slice(0, -1), int('N', 0)] },
  ],
  GatherBlockQuantized: (question) => [{ ...as(rules, ['Gather', [0, 1]], question), dataType: 'float' }],
});

/** With its last two axes exchanged, where that is asked for. */
const turned = (type: StaticType, asked: number): StaticType =>
  asked === 0 ? type : { ...type, shape: [...type.shape.slice(0, -2), ...type.shape.slice(-2).reverse()] };
