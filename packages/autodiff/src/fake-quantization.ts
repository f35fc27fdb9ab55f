import { TrainingFormError } from './errors.js';
import { constantsOf } from './constants-of.js';
import { axisOf } from './gradient-rule.js';
import * as op from './ops.js';
import type { Reading } from './reading.js';
import { operation, scalar } from './value.js';
import type { Operation, Value } from './value.js';

/** Integers of eight bits: how many lie on each side of their middle, and the middle. */
const kinds = { uint8: { reach: 128, middle: 127.5 }, int8: { reach: 128, middle: -0.5 } } as const;
const isKnown = (dataType: string): dataType is keyof typeof kinds => Object.hasOwn(kinds, dataType);

/** Rounds to eight bits; what comes of it is read by DequantizeLinear alone. */
export function quantized({ node, x, outputs, int }: Reading): readonly Value[] {
  const { dataType, shape } = outputs[0]!;
  const named = `node '${node.name}' (QuantizeLinear)`;
  if (!isKnown(dataType)) throw new TrainingFormError(`${named} makes ${dataType}, training takes uint8 and int8`);
  if (int('block_size', 0) !== 0) throw new TrainingFormError(`${named} has scales per block, which training lacks`);
  const attributes = new Map([['axis', op.int(int('axis', 1))]]);
  return operation({ opType: node.opType, node: node.name, inputs: x, attributes }, [{ dataType, shape }]);
}

/**
 * What a QuantizeLinear rounded, as floats again. Gradients go straight through the pair where the number lay within
 * what eight bits hold, and end where it was clipped (Bengio et al. 2013); scales and zero points stay. Integers that are
 * stored have no floats behind them that could be trained: such models are refused.
 */
export function dequantized({ node, x, outputs }: Reading): readonly Value[] {
  const rounding = x[0]?.source.kind === 'operation' ? x[0].source.operation : undefined;
  const named = `node '${node.name}' (DequantizeLinear)`;
  if (rounding?.opType !== 'QuantizeLinear') {
    throw new TrainingFormError(`${named} reads integers that are stored: a quantized model has no weights to train`);
  }
  const [scale, zeroPoint] = [1, 2].map((i) => [x[i], rounding.inputs[i]]);
  if (!isSame(scale!) || !isSame(zeroPoint!)) {
    throw new TrainingFormError(`${named} has another scale or zero point than the QuantizeLinear before it`);
  }
  const attributes = new Map(rounding.attributes);
  const made = operation({ opType: node.opType, node: node.name, inputs: x, attributes }, [
    { dataType: 'float', shape: outputs[0]!.shape },
  ]);
  const source = rounding.inputs[0]!;
  made[0]!.shortcut = { operands: [source], gradients: (g) => [() => op.mul(g, heldBy(rounding, source))] };
  return made;
}

/** 1 where a number lies within what eight bits hold at its scale, else 0. */
function heldBy({ inputs: [, scale, zeroPoint], attributes, outputs: [made] }: Operation, x: Value): Value {
  const { reach, middle } = kinds[made!.dataType as keyof typeof kinds];
  const axis = attributes.get('axis');
  const at = axisOf(axis?.kind === 'int' ? axis.value : 1, x);
  const along = (v: Value) =>
    v.shape.length === 0 || v.shape[0] === 1
      ? op.reshape(v, [])
      : op.reshape(
          v,
          x.shape.map((length, i) => (i === at ? length : 1)),
        );
  const s = along(scale!);
  const zero = zeroPoint && op.cast(along(zeroPoint), 'float', 1);
  const centre = zero ? op.mul(s, op.sub(scalar(middle), zero)) : op.times(s, middle);
  return op.positive(op.sub(op.times(s, reach), op.abs(op.sub(x, centre))));
}

/** The same value, or constants of the same numbers. */
function isSame([one, other]: readonly (Value | undefined)[]): boolean {
  if (one === other) return true;
  const [these, those] = [constantsOf(one), constantsOf(other)];
  return these.length > 0 && these.length === those.length && these.every((value, i) => value === those[i]);
}
