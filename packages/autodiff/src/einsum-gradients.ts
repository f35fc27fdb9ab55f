import { einsumTerms } from '@modelmill/onnx';
import { UnsupportedOpError } from './errors.js';
import type { GradientRule } from './gradient-rule.js';
import * as op from './ops.js';
import type { Value } from './value.js';

/** An operand and its axes' letters. */
interface Term {
  readonly letters: string;
  readonly value: Value;
}

/** Each operand's gradient is the contraction of the output's with the other operands. */
export const einsum: GradientRule = ({ operation, x, g, word }) => {
  const equation = word('equation', '');
  const { inputs: operands, output } = einsumTerms(
    equation,
    x.map(({ shape }) => shape.length),
  );
  const lengths = new Map<string, number>();
  operands.forEach((letters, i) =>
    [...letters].forEach((letter, axis) => {
      lengths.set(letter, Math.max(lengths.get(letter) ?? 1, x[i]!.shape[axis]!));
    }),
  );
  const repeated = operands.find((letters) => new Set(letters).size !== letters.length);
  if (repeated !== undefined) {
    const reason = `has no gradient where an operand names an axis twice: '${equation}'`;
    throw new UnsupportedOpError(operation.opType, operation.node, reason);
  }
  const long = (letter: string) => lengths.get(letter)! > 1;
  const terms = operands.map((letters, i) => squeezed(letters, x[i]!));
  const arrived = squeezed(output, g);
  return x.map((operand, i) => () => {
    const others = [arrived, ...terms.filter((_, j) => j !== i)];
    const reached = new Set(others.flatMap(({ letters }) => [...letters]));
    const own = terms[i]!.letters;
    const made = contraction(others, [...own].filter((letter) => reached.has(letter)).join(''));
    // an axis that was only summed over: every place gets the same
    const kept = op.reshape(
      made,
      [...operands[i]!].map((letter, axis) => (long(letter) && reached.has(letter) ? operand.shape[axis]! : 1)),
    );
    return op.expand(kept, operand.shape);
  });
};

/** Without axes of length 1, which may stand for a longer one. */
function squeezed(letters: string, value: Value): Term {
  const long = [...letters].filter((_, axis) => value.shape[axis] !== 1);
  return {
    letters: long.join(''),
    value: op.reshape(
      value,
      value.shape.filter((length) => length !== 1),
    ),
  };
}

function contraction(terms: readonly Term[], output: string): Value {
  const equation = `${terms.map(({ letters }) => letters).join()}->${output}`;
  const lengths = new Map(terms.flatMap(({ letters, value }) => [...letters].map((l, i) => [l, value.shape[i]!])));
  return op.make(
    'Einsum',
    terms.map(({ value }) => value),
    [...output].map((letter) => lengths.get(letter)!),
    terms[0]!.value.dataType,
    { equation: { kind: 'string', value: equation } },
  );
}
