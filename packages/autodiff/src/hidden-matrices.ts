import { topological } from './topological.js';
import type { Operation, Value } from './value.js';

/** Which axis of a matrix, or kernel, comes first. */
export type Layout = 'outputs first' | 'inputs first';

const turned: Readonly<Record<Layout, Layout>> = {
  'outputs first': 'inputs first',
  'inputs first': 'outputs first',
};

/** Operators that multiply by a matrix, or kernel, and how its axes lie as their first or second operand. */
const products: Readonly<Record<string, (at: number, isTurned: (name: string) => boolean) => Layout>> = {
  MatMul: (at) => (at === 0 ? 'outputs first' : 'inputs first'),
  Gemm: (at, isTurned) =>
    at === 0
      ? isTurned('transA')
        ? 'inputs first'
        : 'outputs first'
      : isTurned('transB')
        ? 'outputs first'
        : 'inputs first',
  Conv: () => 'outputs first',
  ConvTranspose: () => 'inputs first',
};

/**
 * The matrices and kernels of hidden layers: what products multiply by, less tables of embeddings and what the last
 * products before the output multiply by. Recurrent layers' stacked matrices and biases are none.
 */
export function hiddenMatrices(output: Value): ReadonlyMap<Value, Layout> {
  const found = new Map<Value, Layout>();
  const tables = new Set<Value>();
  for (const { source } of topological([output])) {
    if (source.kind !== 'operation') continue;
    const { opType, inputs } = source.operation;
    if (opType === 'Gather' && inputs[0]) tables.add(inputs[0]);
    for (const [weight, layout] of factorsOf(source.operation)) if (!found.has(weight)) found.set(weight, layout);
  }
  for (const outer of [...tables, ...lastFactors(output)]) found.delete(outer);
  return found;
}

/** What a product multiplies by that is not computed: weights, frozen ones too, and the graph's input. */
function factorsOf({ opType, inputs, attributes }: Operation): (readonly [Value, Layout])[] {
  const layoutOf = products[opType];
  if (!layoutOf) return [];
  const isTurned = (name: string) => {
    const attribute = attributes.get(name);
    return attribute?.kind === 'int' && attribute.value === 1;
  };
  return [0, 1].flatMap((at) => {
    let value = inputs[at];
    let layout = layoutOf(at, isTurned);
    while (value?.source.kind === 'operation') {
      const { operation } = value.source;
      if (operation.opType === 'Transpose' && value.shape.length === 2) layout = turned[layout];
      else if (operation.opType !== 'Identity') return [];
      value = operation.inputs[0];
    }
    return value && value.shape.length >= 2 ? [[value, layout] as const] : [];
  });
}

/** Back from the output on every way, to the first product by a weight. */
function lastFactors(output: Value): Value[] {
  const factors: Value[] = [];
  const seen = new Set<Operation>();
  const open = [output];
  for (let value = open.pop(); value; value = open.pop()) {
    if (value.source.kind !== 'operation' || seen.has(value.source.operation)) continue;
    const { operation } = value.source;
    seen.add(operation);
    const of = factorsOf(operation);
    if (of.length > 0) factors.push(...of.map(([weight]) => weight));
    else open.push(...operation.inputs.filter((operand) => operand !== undefined));
  }
  return factors;
}
