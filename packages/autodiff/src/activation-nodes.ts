import { floatAttribute, makeNode } from '@modelmill/onnx';
import type { Attribute, Node } from '@modelmill/onnx';
import type { Activation } from './layer-spec.js';

/** One step of an activation: its operands are `x`, earlier steps by position, and numbers. */
interface Step {
  readonly opType: string;
  readonly operands: readonly ('x' | number | { readonly constant: number })[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** Each activation as nodes of operator set 18, the last one gives the result. */
const steps: Readonly<Record<Activation, readonly Step[]>> = {
  relu: [{ opType: 'Relu', operands: ['x'] }],
  leaky_relu: [{ opType: 'LeakyRelu', operands: ['x'], attributes: { alpha: floatAttribute(0.01) } }],
  elu: [{ opType: 'Elu', operands: ['x'], attributes: { alpha: floatAttribute(1) } }],
  sigmoid: [{ opType: 'Sigmoid', operands: ['x'] }],
  tanh: [{ opType: 'Tanh', operands: ['x'] }],
  // x · Φ(x) by Erf, the form ONNX Runtime fuses: the Gelu operator is newer
  gelu: [
    { opType: 'Div', operands: ['x', { constant: Math.SQRT2 }] },
    { opType: 'Erf', operands: [0] },
    { opType: 'Add', operands: [1, { constant: 1 }] },
    { opType: 'Mul', operands: ['x', 2] },
    { opType: 'Mul', operands: [3, { constant: 0.5 }] },
  ],
  silu: [
    { opType: 'Sigmoid', operands: ['x'] },
    { opType: 'Mul', operands: ['x', 0] },
  ],
  softplus: [{ opType: 'Softplus', operands: ['x'] }],
};

/** The nodes of an activation from value `x` to value `y`; `scalar` names a constant of the graph. */
export function activationNodes(
  activation: Activation,
  x: string,
  y: string,
  scalar: (value: number) => string,
): Node[] {
  const all = steps[activation];
  const valueOf = (step: number) => (step === all.length - 1 ? y : `${y}.${step}`);
  return all.map(({ opType, operands, attributes }, i) =>
    makeNode(
      opType,
      operands.map((operand) => {
        if (operand === 'x') return x;
        return typeof operand === 'number' ? valueOf(operand) : scalar(operand.constant);
      }),
      [valueOf(i)],
      attributes,
      valueOf(i),
    ),
  );
}
