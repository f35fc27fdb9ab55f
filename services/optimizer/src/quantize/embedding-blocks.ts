import { attribute, floatTensor, floatView, floatsOf, makeNode } from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants, floatConstantOf, intAttribute } from '../constant-of.js';
import { packed } from '../pack/codebooks.js';
import { roundToEven } from './quantized-numbers.js';
import type { BlockForm } from './weight-blocks.js';

const { fround } = Math;
const domain = 'com.microsoft';
/** The first version of ONNX's files with four-bit types. */
const irVersion = 10;

type RowForm = Pick<BlockForm, 'block' | 'symmetric'>;

/** Rows of a table in 4 bits, with a scale per block of each row. */
export interface RowBlocks {
  /** Two numbers a byte, the first in the low half: signed where symmetric. */
  readonly packed: Uint8Array;
  /** [rows, blocks] */
  readonly scales: Float32Array;
  /** As `packed`; undefined where symmetric. */
  readonly zeroPoints: Uint8Array | undefined;
}

/** Round to nearest, to the byte what ONNX Runtime's quantizer writes for GatherBlockQuantized. */
export function quantizeRows(values: Float32Array, columns: number, { block, symmetric }: RowForm): RowBlocks {
  const blocks = Math.ceil(columns / block);
  const rows = values.length / columns;
  const steps = new Uint8Array(values.length);
  const scales = new Float32Array(rows * blocks);
  const zeros = new Uint8Array(rows * blocks);
  for (let at = 0; at < scales.length; at++) {
    const from = Math.floor(at / blocks) * columns + (at % blocks) * block;
    const part = values.subarray(from, from + Math.min(block, columns - (at % blocks) * block));
    const [min, max] = part.reduce(
      ([a, b], value) => [Math.min(a!, value), Math.max(b!, value)],
      [Infinity, -Infinity],
    );
    if (symmetric) {
      const scale = fround((Math.abs(max!) > Math.abs(min!) ? max! : min!) / -8);
      scales[at] = scale;
      part.forEach(
        (value, i) => (steps[from + i] = scale === 0 ? 0 : clip(roundToEven(fround(value / scale)), -8, 7) & 15),
      );
    } else {
      const [least, greatest] = [Math.min(min!, 0), Math.max(max!, 0)];
      const scale = fround(fround(greatest - least) / 15);
      const zero = scale === 0 ? 8 : clip(roundToEven(fround(-least / scale)), 0, 15);
      scales[at] = scale;
      zeros[at] = zero;
      part.forEach(
        (value, i) =>
          (steps[from + i] = scale === 0 ? 8 : clip(roundToEven(fround(fround(value / scale) + zero)), 0, 15)),
      );
    }
  }
  return { packed: packed(steps), scales, zeroPoints: symmetric ? undefined : packed(zeros) };
}

const clip = (value: number, least: number, greatest: number) => Math.min(Math.max(value, least), greatest);

/**
 * Stores the tables that Gather looks rows up in, such as embeddings, in 4 bits with a scale per block of a row, in
 * place (GatherBlockQuantized). Returns how many lookups do: those in rows of at least one whole block.
 */
export function quantizeEmbeddings(model: Model, form: RowForm): number {
  const { graph } = model;
  const lookups = graph.nodes.flatMap((node) => {
    const table = tableOf(graph, node);
    return table && table.dims[1]! >= form.block ? [{ node, table }] : [];
  });
  if (lookups.length === 0) return 0;
  changeConstants(model, () => {
    const stored = new Map<Tensor, string[]>();
    for (const { node, table } of lookups) {
      const names = stored.get(table) ?? storeRows(graph, table, form);
      stored.set(table, names);
      const [rows, ...scales] = names;
      graph.nodes[graph.nodes.indexOf(node)] = {
        ...makeNode('GatherBlockQuantized', [rows!, node.inputs[1]!, ...scales], [...node.outputs], {
          gather_axis: attribute(0),
          quantize_axis: attribute(1),
          block_size: attribute(form.block),
        }),
        name: node.name,
        domain,
      };
    }
  });
  model.opsets.set(domain, 1);
  model.irVersion = Math.max(model.irVersion, irVersion);
  return lookups.length;
}

function tableOf(graph: Graph, node: Node): Tensor | undefined {
  if (node.domain !== '' || node.opType !== 'Gather' || intAttribute(node, 'axis', 0) !== 0) return undefined;
  const table = floatConstantOf(graph, node.inputs[0]);
  // a mask of −∞ is no table of weights: its scale would spoil all that share it
  return table?.dims.length === 2 && floatView(table).every(Number.isFinite) ? table : undefined;
}

function storeRows(graph: Graph, { name, dims, ...rest }: Tensor, form: RowForm): string[] {
  const [rows, columns] = dims as [number, number];
  const made = quantizeRows(floatsOf({ name, dims, ...rest }), columns, form);
  const perRow = [rows, Math.ceil(columns / form.block)];
  const dataType = form.symmetric ? 'int4' : 'uint4';
  return [
    addConstant(graph, { name: `${name}_rows`, dataType, dims, bytes: made.packed }),
    addConstant(graph, floatTensor(`${name}_scales`, perRow, made.scales)),
    ...(made.zeroPoints
      ? [addConstant(graph, { name: `${name}_zero_points`, dataType, dims: perRow, bytes: made.zeroPoints })]
      : []),
  ];
}
