import { floatAttribute } from '@modelmill/onnx';
import { constantsOf } from './constants-of.js';
import * as op from './ops.js';
import type { Reading } from './reading.js';
import { operation, scalar, size } from './value.js';
import type { Operation, Value } from './value.js';

const { add, mul } = op;

/** Of the normal density, 1 / √(2π): its factor is a term of the exponent, which spares a pass. */
const logOfPeak = scalar(-Math.log(2 * Math.PI) / 2);

/** Φ of √2 · u in two passes: the sum and the product behind the error function are one HardSigmoid, as in no value it cuts. */
const distribution = (u: Value): Value =>
  op.make('HardSigmoid', [op.erf(u)], u.shape, u.dataType, { alpha: floatAttribute(0.5), beta: floatAttribute(0.5) });

/** x · Φ(x) (Hendrycks and Gimpel 2016). Its gradient is the closed form g · (Φ(x) + x · φ(x)). */
export function gelu(x: Value, node = ''): Value {
  const u = op.times(x, Math.SQRT1_2);
  const share = distribution(u);
  const y = operation({ opType: 'Mul', node, inputs: [x, share], attributes: new Map() }, [x])[0]!;
  y.shortcut = {
    operands: [x],
    gradients: (g) => [
      () => {
        const density = op.exp(op.sub(logOfPeak, mul(u, u)));
        return mul(g, add(share, mul(x, density)));
      },
    ],
  };
  return y;
}

export function geluTanh(x: Value): Value {
  const inner = op.times(add(x, op.times(mul(x, mul(x, x)), 0.044715)), Math.sqrt(2 / Math.PI));
  return op.times(mul(x, add(op.tanh(inner), scalar(1))), 0.5);
}

/** The last product of x · (erf(x / √2) + 1) · ½, as exporters and our own layers write Gelu; undefined for any other. */
export function writtenGelu({ node, x: [a, b], outputs }: Reading): readonly Value[] | undefined {
  const found = geluOf(a, b) ?? geluOf(b, a);
  return found && op.sameShape(found.shape, outputs[0]!.shape) ? [gelu(found, node.name)] : undefined;
}

/** What the Gelu is of, if `half` is ½ and `whole` x · (erf(x / √2) + 1). */
function geluOf(whole: Value | undefined, half: Value | undefined): Value | undefined {
  if (!isNumber(half, 0.5)) return undefined;
  const factors = made('Mul', whole)?.inputs ?? [];
  return factors.find((x, i) => x && argumentOf(factors[1 - i], x));
}

/** Whether a value is erf(x / √2) + 1. */
function argumentOf(value: Value | undefined, x: Value): boolean {
  const terms = made('Add', value)?.inputs ?? [];
  const one = terms.findIndex((term) => isNumber(term, 1));
  const inner = one < 0 ? undefined : made('Erf', terms[1 - one])?.inputs[0];
  const divided = made('Div', inner)?.inputs;
  if (divided) return divided[0] === x && isNumber(divided[1], Math.SQRT2);
  const scaled = made('Mul', inner)?.inputs ?? [];
  return scaled.some((factor, i) => factor === x && isNumber(scaled[1 - i], Math.SQRT1_2));
}

const made = (opType: string, value: Value | undefined): Operation | undefined =>
  value?.source.kind === 'operation' && value.source.operation.opType === opType ? value.source.operation : undefined;

/** A constant of one number, but for its rounding to a float. */
function isNumber(value: Value | undefined, number: number): boolean {
  if (value?.dataType !== 'float' || size(value.shape) !== 1) return false;
  const [found] = constantsOf(value);
  return found !== undefined && Math.abs(found - number) < 1e-6;
}
