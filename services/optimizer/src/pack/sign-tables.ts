import { attribute, elementCount, floatTensor, int64Tensor, intTensor, intsOf, makeNode } from '@modelmill/onnx';
import { uniqueName } from '@modelmill/onnx';
import type { Graph, Node } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import type { Signs, SignValues } from './signs.js';

/** How many weights a byte holds: every row of a table is what one byte stands for. */
interface Packing {
  readonly perByte: number;
  readonly values: readonly number[];
}

/** 3⁵ = 243 and 2⁸ = 256: 1.6 bits a weight, and 1. */
const packings: Readonly<Record<SignValues, Packing>> = {
  ternary: { perByte: 5, values: [0, 1, -1] },
  binary: { perByte: 8, values: [1, -1] },
};

const [float32, int32] = [1, 6];

/** So many signs in each byte, the first one changing the fastest. */
export function packedSigns(signs: Int8Array, kind: SignValues): Uint8Array {
  const { perByte, values } = packings[kind];
  const codes = new Map(values.map((value, code) => [value, code]));
  const bytes = new Uint8Array(Math.ceil(signs.length / perByte));
  for (let i = signs.length - 1; i >= 0; i--) {
    const at = Math.floor(i / perByte);
    bytes[at] = bytes[at]! * values.length + codes.get(signs[i]!)!;
  }
  return bytes;
}

/** [rows, perByte]: the signs that each byte stands for. */
export function signTable(kind: SignValues): Int8Array {
  const { perByte, values } = packings[kind];
  const rows = values.length ** perByte;
  return Int8Array.from({ length: rows * perByte }, (_, at) => {
    const [byte, place] = [Math.floor(at / perByte), at % perByte];
    return values[Math.floor(byte / values.length ** place) % values.length]!;
  });
}

/** Adds the table that all weights of a graph are looked up in; returns its name. */
export function addSignTable(graph: Graph, kind: SignValues): string {
  const { perByte, values } = packings[kind];
  const dims = [values.length ** perByte, perByte];
  const stored = addConstant(graph, intTensor(`${kind}_signs`, 'int8', dims, signTable(kind)));
  const table = uniqueName(graph, `${kind}_table`);
  graph.nodes.unshift(makeNode('Cast', [stored], [table], { to: attribute(float32) }));
  return table;
}

/** What is replaced by a lookup. */
export interface Replaced {
  readonly name: string;
  readonly dims: readonly number[];
  readonly axis: number;
}

/** Adds nodes that look weights up and scale them: ONNX Runtime runs them once, at load. */
export function addSignLookup(
  graph: Graph,
  { name, dims, axis }: Replaced,
  { signs, scales }: Signs,
  { kind, table }: { readonly kind: SignValues; readonly table: string },
): void {
  const value = (part: string) => uniqueName(graph, `${name}_${part}`);
  const bytes = packedSigns(signs, kind);
  const indices = addConstant(graph, intTensor(`${name}_bytes`, 'uint8', [bytes.length], bytes));
  const channels = dims.map((size, i) => (i === axis ? size : 1));
  const scale = addConstant(graph, floatTensor(`${name}_scale`, channels, scales));
  const shape = addConstant(graph, int64Tensor(`${name}_shape`, [dims.length], [...dims]));
  const [wide, rows, shaped] = [value('wide'), value('looked_up'), value('signs')];
  const nodes: Node[] = [
    makeNode('Cast', [indices], [wide], { to: attribute(int32) }),
    makeNode('Gather', [table, wide], [rows], { axis: attribute(0) }),
  ];
  let all = rows;
  if (bytes.length * packings[kind].perByte > signs.length) {
    const ints = (part: string, number: number) => addConstant(graph, int64Tensor(`${name}_${part}`, [1], [number]));
    const flat = value('flat');
    all = value('whole');
    nodes.push(
      makeNode('Reshape', [rows, ints('one_axis', -1)], [flat]),
      makeNode('Slice', [flat, ints('start', 0), ints('end', signs.length)], [all]),
    );
  }
  nodes.push(makeNode('Reshape', [all, shape], [shaped]), makeNode('Mul', [shaped, scale], [name]));
  const after = graph.nodes.findIndex(({ outputs }) => outputs[0] === table) + 1;
  graph.nodes.splice(after, 0, ...nodes);
}

/** Weights that a value is looked up from: undefined where it is none of these. */
export interface LookedUp {
  /** Of the bytes. */
  readonly name: string;
  readonly count: number;
  readonly zeros: number;
  readonly rank: number;
}

export function lookedUpSigns(graph: Graph, producers: ReadonlyMap<string, Node>, value: string): LookedUp | undefined {
  const before = (name: string | undefined, opType: string): Node | undefined => {
    const node = producers.get(name ?? '');
    return node?.opType === opType ? node : undefined;
  };
  const reshape = before(before(value, 'Mul')?.inputs[0], 'Reshape');
  const slice = before(reshape?.inputs[0], 'Slice');
  const gather = before(slice ? before(slice.inputs[0], 'Reshape')?.inputs[0] : reshape?.inputs[0], 'Gather');
  const [table, indices] = (gather?.inputs ?? []).map((name) =>
    graph.initializers.get(before(name, 'Cast')?.inputs[0] ?? ''),
  );
  const shape = graph.initializers.get(reshape?.inputs[1] ?? '');
  if (table?.dataType !== 'int8' || indices?.dataType !== 'uint8' || !shape) return undefined;
  const dims = intsOf(shape);
  const count = elementCount(dims);
  const perByte = table.dims[1]!;
  const rows = intsOf(table);
  const zerosOf = Array.from(
    { length: table.dims[0]! },
    (_, row) => rows.slice(row * perByte, (row + 1) * perByte).filter((sign) => sign === 0).length,
  );
  const padding = indices.bytes.length * perByte - count; // zeros where there are any
  const zeros = indices.bytes.reduce((sum, byte) => sum + zerosOf[byte]!, 0) - (zerosOf[0]! > 0 ? padding : 0);
  return { name: indices.name, count, zeros, rank: dims.length };
}
