import { floatTensor, int64Tensor, intTensor } from '@modelmill/onnx';
import type { NodeCase } from './node-gradients-for-tests.js';

/** How operands of a rule meet. */
export const forms = ['broadcast', 'stretched', 'repeated', 'scalar'] as const;
export type Form = (typeof forms)[number];

/** Operators whose operands are broadcast to each other, with where they lie. */
const broadcasting: Readonly<Record<string, Omit<NodeCase, 'op' | 'x'>>> = {
  Add: {},
  Sub: {},
  Mul: {},
  Div: { domain: { low: 0.3, high: 2 } },
  Pow: { domain: { low: 0.3, high: 2 } },
  Mod: { attributes: { fmod: 1 }, domain: { low: 0.2, high: 3 } },
  Sum: {},
  Mean: {},
  Min: { distinct: true },
  Max: { distinct: true },
  PRelu: { domain: { low: -2, high: 2, away: 0.05 } },
  Where: {},
};

const twice: NodeCase['x'] = [[2, 3], { same: 0 }];
const first = { ...intTensor('', 'uint8', [2, 1], [1, 0]), dataType: 'bool' as const };

/** A slope is broadcast to what it is of, never the other way around; a condition comes before its operands. */
function formsOf(op: string): Readonly<Record<Form, NodeCase['x']>> {
  const wide: Readonly<Record<Form, NodeCase['x']>> = {
    broadcast: [[3], [2, 3]],
    stretched: [
      [2, 1],
      [1, 3],
    ],
    repeated: twice,
    scalar: [[], [2, 3]],
  };
  if (op === 'PRelu') {
    return {
      ...wide,
      broadcast: [[2, 3], [3]],
      stretched: [
        [2, 3],
        [2, 1],
      ],
      // scalars of a file are settings, not weights
      scalar: [[2, 3], floatTensor('', [], [0.3])],
    };
  }
  if (op !== 'Where') return wide;
  const conditioned = (x: NodeCase['x']) => [first, ...x];
  return {
    broadcast: conditioned(wide.broadcast),
    stretched: conditioned(wide.stretched),
    repeated: conditioned([[2, 3], { same: 1 }]),
    scalar: conditioned(wide.scalar),
  };
}

const spot = int64Tensor('', [2, 2], [0, 1, 1, 0]);

/** Operators of several floats that are not broadcast: the same value may come in as two of them. */
const repeated: readonly Pick<NodeCase, 'op' | 'x' | 'attributes'>[] = [
  { op: 'MatMul', x: [[3, 3], { same: 0 }] },
  { op: 'Gemm', x: [[3, 3], { same: 0 }, { same: 0 }], attributes: { transB: 1 } },
  { op: 'Einsum', x: twice, attributes: { equation: 'ij,ij->i' } },
  { op: 'Conv', x: [[2, 2, 3, 3], { same: 0 }], attributes: { pads: [1, 1, 1, 1] } },
  { op: 'ConvTranspose', x: [[2, 2, 2, 2], { same: 0 }] },
  { op: 'Concat', x: [...twice, { same: 0 }], attributes: { axis: 1 } },
  { op: 'ScatterElements', x: [[2, 2], spot, { same: 0 }], attributes: { axis: 1 } },
  { op: 'ScatterND', x: [[2, 2], int64Tensor('', [2, 1], [1, 0]), { same: 0 }] },
  { op: 'LayerNormalization', x: [[2, 3], [3], { same: 1 }] },
];

const within = { low: 0.2, high: 0.45 };
const elementWise = [
  ...'Neg Identity Abs Sqrt Reciprocal Exp Log Erf Floor Ceil Round Sign Clip CastLike Cast'.split(' '),
  ...'Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Atanh Relu LeakyRelu Elu Celu ThresholdedRelu Selu'.split(' '),
  ...'Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Mish Shrink Acosh Reshape Expand Unsqueeze'.split(' '),
];
const flat = new Set(['Floor', 'Ceil', 'Round', 'Sign', 'ThresholdedRelu', 'Shrink']);
const others: Readonly<Record<string, Pick<NodeCase, 'x' | 'attributes' | 'domain'>>> = {
  CastLike: { x: [[], floatTensor('', [1], [0])] },
  Cast: { x: [[]], attributes: { to: 1 } },
  Clip: { x: [[], floatTensor('', [], [0])] },
  Acosh: { x: [[]], domain: { low: 1.2, high: 2 } },
  Reshape: { x: [[], int64Tensor('', [2], [1, 1])] },
  Expand: { x: [[], int64Tensor('', [2], [2, 3])] },
  Unsqueeze: { x: [[], int64Tensor('', [1], [0])] },
};

export interface OperandCase extends NodeCase {
  readonly form: Form;
}

export const operandCases: readonly OperandCase[] = [
  ...Object.entries(broadcasting).flatMap(([op, more]) =>
    forms.map((form) => ({
      op,
      form,
      what: `operands ${form}`,
      x: formsOf(op)[form],
      ...more,
      flat: form === 'repeated' && (op === 'Sub' || op === 'Div' || op === 'Mod'),
    })),
  ),
  {
    op: 'MatMul',
    form: 'broadcast',
    what: 'operands broadcast',
    x: [
      [3, 2],
      [2, 2, 3],
    ],
  },
  {
    op: 'MatMul',
    form: 'stretched',
    what: 'operands stretched',
    x: [
      [2, 1, 2, 3],
      [1, 2, 3, 2],
    ],
  },
  ...(['broadcast', 'stretched', 'scalar'] as const).map((form) => ({
    op: 'Gemm',
    form,
    what: `its addend ${form}`,
    x: [[2, 3], [3, 4], { broadcast: [4], stretched: [2, 1], scalar: floatTensor('', [], [0.3]) }[form]],
  })),
  { op: 'Expand', form: 'broadcast', what: 'broadcast', x: [[3], int64Tensor('', [2], [2, 3])] },
  { op: 'Expand', form: 'stretched', what: 'stretched', x: [[1, 3, 1], int64Tensor('', [3], [2, 1, 2])] },
  ...repeated.map((one) => ({ ...one, form: 'repeated' as const, what: 'operands repeated' })),
  ...elementWise.map((op) => ({
    op,
    form: 'scalar' as const,
    what: 'of a scalar',
    x: [[]],
    domain: within,
    flat: flat.has(op),
    ...others[op],
  })),
];

/** What every rule has to be shown with; a rule that is not named here has one operand of at least one axis. */
export const formsWanted: Readonly<Record<string, readonly Form[]>> = {
  ...Object.fromEntries(Object.keys(broadcasting).map((op) => [op, forms])),
  ...Object.fromEntries(elementWise.map((op) => [op, ['scalar']])),
  ...Object.fromEntries(repeated.map(({ op }) => [op, ['repeated']])),
  MatMul: ['broadcast', 'stretched', 'repeated'],
  Gemm: forms,
  Expand: ['broadcast', 'stretched', 'scalar'],
};

/** Rules of one float operand that has axes. */
export const ofOneOperand: readonly string[] = [
  ...'CumSum Hardmax Softmax LogSoftmax MaxPool AveragePool GlobalAveragePool GlobalMaxPool MaxUnpool'.split(' '),
  ...'LpPool GlobalLpPool ReduceSum ReduceMean ReduceSumSquare ReduceL1 ReduceL2 ReduceLogSum ReduceProd'.split(' '),
  ...'ReduceLogSumExp ReduceMax ReduceMin Flatten Squeeze Transpose Split Tile ReverseSequence'.split(' '),
  ...'DepthToSpace SpaceToDepth Resize Trilu Gather GatherElements GatherND TopK Slice Pad'.split(' '),
];
