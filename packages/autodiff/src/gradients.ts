import { UnsupportedOpError } from './errors.js';
import { gradientRules } from './gradient-rules.js';
import type { GradientQuestion, GradientRule } from './gradient-rule.js';
import { add, gemm, reduceSum, reshape, sameShape, zeros } from './ops.js';
import { topological } from './topological.js';
import { constant, isFloat, operandsOf, scalar, size } from './value.js';
import type { Operation, Shape, Shortcut, Value } from './value.js';

/**
 * d loss / d target for each target, as values computed from the same inputs: reverse-mode differentiation, a graph in
 * and a graph out. `loss` is a scalar. A target the loss does not depend on has no entry. Throws UnsupportedOpError
 * for an operator without a rule between a target and the loss; others are never looked at. `columns` as in StepOptions.
 */
export function gradients(loss: Value, targets: readonly Value[], { columns = false } = {}): Map<Value, Value> {
  const order = topological([loss]);
  const wanted = dependents(order, new Set(targets));
  const arrived = new Map<Value, Value>();
  if (wanted.has(loss)) arrived.set(loss, scalar(1));
  const give = (to: Value, g: Value) => {
    const fitted = unbroadcast(g, to.shape, columns);
    const before = arrived.get(to);
    arrived.set(to, before ? add(before, fitted) : fitted);
  };
  // outputs that share a gradient come one after the other: only at the earliest have the gradients of all of them arrived
  const earliest = new Map<Operation | Shortcut, Value>();
  for (const value of order) {
    const { source, shortcut } = value;
    if (shortcut && !earliest.has(shortcut)) earliest.set(shortcut, value);
    if (source.kind === 'operation' && !earliest.has(source.operation)) earliest.set(source.operation, value);
  }
  for (const value of order.reverse()) {
    const { source, shortcut } = value;
    if (shortcut) {
      const outputs = shortcut.outputs ?? [value];
      if (earliest.get(shortcut) !== value || !outputs.some((output) => arrived.has(output))) continue;
      const all = outputs.map((output) => arrived.get(output));
      const made = shortcut.gradients(all[0] ?? zeros(outputs[0]!.shape), all);
      shortcut.operands.forEach((operand, i) => wanted.has(operand) && give(operand, made[i]!()));
    } else if (source.kind === 'operation' && earliest.get(source.operation) === value) {
      const { operation } = source;
      if (!operation.outputs.some((output) => arrived.has(output))) continue;
      const made = ruleFor(operation)(questionOf(operation, columns, (output) => arrived.get(output)));
      operation.inputs.forEach((operand, i) => {
        if (operand === undefined || !wanted.has(operand)) return;
        const gradient = made[i];
        if (!gradient) throw new UnsupportedOpError(operation.opType, operation.node, `has no gradient for input ${i}`);
        give(operand, gradient());
      });
    }
  }
  return new Map(targets.flatMap((target) => (arrived.has(target) ? [[target, arrived.get(target)!] as const] : [])));
}

/** The values computed from a target by way of floats: only they need gradients. */
function dependents(order: readonly Value[], targets: ReadonlySet<Value>): Set<Value> {
  const found = new Set<Value>();
  for (const value of order) {
    const operands = value.shortcut?.operands ?? operandsOf(value);
    const reached = operands.some((operand) => operand !== undefined && found.has(operand));
    if (targets.has(value) || (reached && isFloat(value))) found.add(value);
  }
  return found;
}

function ruleFor({ opType, domain, node }: Operation): GradientRule {
  const rule = gradientRules[opType];
  if (!rule || domain !== '') throw new UnsupportedOpError(opType, node);
  return rule;
}

function questionOf(
  operation: Operation,
  columns: boolean,
  gradientOf: (output: Value) => Value | undefined,
): GradientQuestion {
  const { inputs, outputs, attributes } = operation;
  return {
    operation,
    x: inputs.filter((input) => input !== undefined),
    y: outputs[0]!,
    g: gradientOf(outputs[0]!) ?? zeros(outputs[0]!.shape),
    all: outputs.map(gradientOf),
    columns,
    int(name, otherwise) {
      const found = attributes.get(name);
      return found?.kind === 'int' ? found.value : otherwise;
    },
    float(name, otherwise) {
      const found = attributes.get(name);
      return found?.kind === 'float' ? found.value : otherwise;
    },
    list(name) {
      const found = attributes.get(name);
      return found?.kind === 'ints' ? found.value : undefined;
    },
    word(name, otherwise) {
      const found = attributes.get(name);
      return found?.kind === 'string' ? found.value : otherwise;
    },
  };
}

/** Rows that a product with ones adds up as exactly as the products that gradients of matrices are. */
const mostRows = 2 ** 15;

/** Sums a gradient over the axes along which its value was broadcast; over rows, where it is asked for, by a product. */
function unbroadcast(g: Value, shape: Shape, byProduct: boolean): Value {
  if (sameShape(g.shape, shape)) return g;
  const extra = g.shape.length - shape.length;
  const axes = [...g.shape.keys()].filter((axis) => axis < extra || (shape[axis - extra] === 1 && g.shape[axis] !== 1));
  const rows = size(g.shape) / size(shape);
  if (byProduct && axes.length === extra && rows <= mostRows && g.dataType === 'float') {
    const ones = constant(new Float32Array(rows).fill(1), [1, rows]);
    return reshape(gemm(ones, reshape(g, [rows, size(shape)]), false, false), shape);
  }
  return reshape(reduceSum(g, axes, true), shape);
}
