import { einsumTerms } from '@modelmill/onnx';
import { UnsupportedOpError } from './errors.js';
import type { GradientRule } from './gradient-rule.js';
import { expand, make, reshape } from './ops.js';
import type { Value } from './value.js';

/** Each operand's gradient is the product of g and the other operands, by the same letters. */
export const einsumGradient: GradientRule = ({ operation, x, g }) => {
  const found = operation.attributes.get('equation');
  const equation = found?.kind === 'string' ? found.value : '';
  const { inputs, output } = einsumTerms(
    equation,
    x.map(({ shape }) => shape.length),
  );
  if (inputs.some((term) => new Set(term).size < term.length)) {
    throw new UnsupportedOpError(
      'Einsum',
      operation.node,
      `has no gradient for '${equation}': an operand repeats an index`,
    );
  }
  return x.map((operand, at) => () => {
    const others = inputs.filter((_, i) => i !== at);
    const reached = [output, ...others].join('');
    const term = inputs[at]!;
    // an index that no other term has was summed over alone: g is spread along it
    const kept = [...term].filter((letter) => reached.includes(letter)).join('');
    const shape = [...kept].map((letter) => operand.shape[term.indexOf(letter)]!);
    const product = make('Einsum', [g, ...x.filter((_, i) => i !== at)], shape, g.dataType, {
      equation: { kind: 'string', value: `${[output, ...others].join(',')}->${kept}` },
    });
    return spread(product, kept, term, operand);
  });
};

function spread(product: Value, kept: string, term: string, operand: Value): Value {
  if (kept === term) return product;
  const narrow = [...term].map((letter, axis) => (kept.includes(letter) ? operand.shape[axis]! : 1));
  return expand(reshape(product, narrow), operand.shape);
}
