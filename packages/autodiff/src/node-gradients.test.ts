import { int64Tensor } from '@modelmill/onnx';
import { elementWiseCases } from './element-wise-cases-for-tests.js';
import { UnsupportedOpError } from './errors.js';
import { gradientRules } from './gradient-rules.js';
import { gradients } from './gradients.js';
import { movementCases } from './movement-cases-for-tests.js';
import { normalizationCases } from './normalization-cases-for-tests.js';
import { compare, modelOf } from './node-gradients-for-tests.js';
import type { NodeCase } from './node-gradients-for-tests.js';
import { formsWanted, ofOneOperand, operandCases } from './operand-cases-for-tests.js';
import * as op from './ops.js';
import { readGraph } from './read-graph.js';
import { windowCases } from './window-cases-for-tests.js';

const cases: readonly NodeCase[] = [
  ...movementCases,
  ...elementWiseCases,
  ...windowCases,
  ...normalizationCases,
  ...operandCases,
];
const named = cases.map((one) => [`${one.op}${one.what ? `, ${one.what}` : ''}`, one] as const);
const at = int64Tensor('', [1, 2], [0, 1]);

describe('the step graph of a node', () => {
  it.each(named)('computes %s, and gradients that agree with central differences', async (_, one) => {
    const { strayed, shapes, apart, worst, steepest } = await compare(one);
    const [wanted] = shapes;
    expect(shapes).toEqual([wanted, wanted, wanted]);
    expect(strayed).toBeLessThan(2e-5);
    expect(apart).toBeLessThan(1e-6);
    for (const error of worst) expect(error).toBeLessThan(1e-5);
    expect(steepest > 0.01).toBe(!one.flat);
  });

  it('has a case for every way in which operands of a rule can meet', () => {
    const known = [...Object.keys(formsWanted), ...ofOneOperand];
    expect(known.sort()).toEqual(Object.keys(gradientRules).sort());
    const shown = new Set(operandCases.map(({ op: rule, form }) => `${rule} ${form}`));
    const wanted = Object.entries(formsWanted).flatMap(([rule, forms]) => forms.map((form) => `${rule} ${form}`));
    expect(wanted.filter((one) => !shown.has(one))).toEqual([]);
    expect(ofOneOperand.filter((rule) => operandCases.some((one) => one.op === rule))).toEqual([]);
  });

  it.each<[string, NodeCase, RegExp]>([
    [
      'a scatter that multiplies',
      { op: 'ScatterElements', x: [[2, 2], at, [1, 2]], attributes: { axis: 1, reduction: 'mul' } },
      /ScatterElements \(node 'it'\) has no gradient for reduction 'mul'/,
    ],
    [
      'a scatter of rows that keeps the largest',
      { op: 'ScatterND', x: [[2, 2], at, [1]], attributes: { reduction: 'max' } },
      /ScatterND \(node 'it'\) has no gradient for reduction 'max'/,
    ],
    [
      'a diagonal',
      { op: 'Einsum', x: [[2, 2]], attributes: { equation: 'ii->i' } },
      /Einsum \(node 'it'\) has no gradient where an operand names an axis twice: 'ii->i'/,
    ],
    [
      'a resize that smooths',
      {
        op: 'Resize',
        x: [[2, 1, 4, 4], undefined, undefined, int64Tensor('', [4], [2, 1, 2, 2])],
        attributes: { mode: 'linear', antialias: 1 },
      },
      /Resize \(node 'it'\) has no gradient for antialias/,
    ],
    [
      'attention to keys of lengths of their own',
      {
        op: 'Attention',
        opset: 24,
        x: [[2, 1, 2, 2], [2, 1, 2, 2], [2, 1, 2, 2], undefined, undefined, undefined, int64Tensor('', [2], [1, 2])],
      },
      /Attention \(node 'it'\) has a length of keys per example/,
    ],
    [
      'attention within a window',
      {
        op: 'Attention',
        opset: 25,
        x: [
          [2, 1, 2, 2],
          [2, 1, 2, 2],
          [2, 1, 2, 2],
        ],
        attributes: { left_window_size: 1 },
      },
      /Attention \(node 'it'\) has left_window_size, which training cannot follow/,
    ],
  ])('refuses %s by name', (_, one, message) => {
    const read = () => {
      const { features, output } = readGraph(modelOf(one), 2);
      gradients(op.sum(output), [features]);
    };
    expect(read).toThrow(UnsupportedOpError);
    expect(read).toThrow(message);
  });
});
