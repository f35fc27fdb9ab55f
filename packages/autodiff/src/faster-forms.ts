import { examplesFirst } from './examples-last.js';
import { examplesLastForms } from './examples-last-forms.js';
import { fasterProducts } from './faster-products.js';
import { gemm, reshape } from './ops.js';
import { topological } from './topological.js';
import { operandsOf, size } from './value.js';
import type { Operation, Value } from './value.js';
import { columnsPayForConvolution, windowColumns } from './window-columns.js';
import { windowsOf } from './windows.js';
import { winograd, winogradPays } from './winograd.js';

/**
 * For each value that a step on the CPU computes faster by other operators, from the same operands, those; undefined where
 * there is no such way. `roots`: what the step gives.
 */
export function fasterForms(roots: readonly Value[]): (value: Value) => Value | undefined {
  const uses = new Map<Value, number>();
  const operations = new Set(
    topological(roots).flatMap(({ source }) => (source.kind === 'operation' ? [source.operation] : [])),
  );
  for (const operand of [...roots, ...[...operations].flatMap(({ inputs }) => inputs)]) {
    if (operand) uses.set(operand, (uses.get(operand) ?? 0) + 1);
  }
  const products = fasterProducts(operations, (value) => uses.get(value) === 1);
  const owned = ownedBy(operations);
  const faster = remembered((value) => owned(formOf(value), value));
  const last = examplesLastForms(roots, faster, owned);
  return remembered((value) => faster(value) ?? last(value));

  function formOf({ source }: Value): Value | undefined {
    if (source.kind !== 'operation') return undefined;
    switch (source.operation.opType) {
      case 'Conv':
        return fasterConvolution(source.operation);
      case 'MatMul':
        return products.product(source.operation);
      case 'Transpose':
        return products.transposed(source.operation);
      default:
        return undefined;
    }
  }
}

/** Has the new parts of a value's form named after its node. `operations`: those that are not new. */
function ownedBy(operations: ReadonlySet<Operation>) {
  return (form: Value | undefined, { source }: Value): Value | undefined => {
    const node = source.kind === 'operation' ? source.operation.node : '';
    if (!form) return form;
    const isNew = (part: Value) =>
      part.source.kind === 'operation' &&
      part.source.operation.owner === undefined &&
      !operations.has(part.source.operation);
    for (const { source: part } of topological([form], (value) => (isNew(value) ? operandsOf(value) : []))) {
      if (part.kind === 'operation' && !operations.has(part.operation)) part.operation.owner ??= node;
    }
    return form;
  };
}

function remembered(formOf: (value: Value) => Value | undefined): (value: Value) => Value | undefined {
  const known = new Map<Value, Value | undefined>();
  return (value) => {
    if (!known.has(value)) known.set(value, formOf(value));
    return known.get(value);
  };
}

/** A convolution on small maps as few products over all examples. */
function fasterConvolution(convolution: Operation): Value | undefined {
  const { inputs, outputs } = convolution;
  const [x, weight, bias] = inputs as [Value, Value, Value | undefined];
  const [filters = 0, , ...kernel] = weight.shape;
  const windows = windowsOf(convolution, x.shape, kernel);
  const y = outputs[0]!.shape;
  const places = y.slice(2);
  if (winogradPays(x.shape, places, windows, filters)) return winograd(x, weight, places, windows, bias);
  if (!columnsPayForConvolution(x.shape, places, windows, filters)) return undefined;
  const rows = reshape(weight, [filters, size(weight.shape) / filters]);
  const offset = bias && reshape(bias, [filters, 1]);
  return examplesFirst(gemm(rows, windowColumns(x, places, windows), false, false, 1, offset), y);
}
