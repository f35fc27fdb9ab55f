import {
  attribute,
  floatTensor,
  floatsOf,
  intTensor,
  makeNode,
  producerOf,
  removeNode,
  uniqueName,
  removeUnused,
} from '@modelmill/onnx';
import type { Graph, Model } from '@modelmill/onnx';
import { addConstant } from '../add-constant.js';
import { changeConstants } from '../constant-of.js';

/** A constant as places in a list of few values. */
export interface Codebook {
  /** Of the constant. */
  readonly name: string;
  readonly dims: readonly number[];
  readonly values: Float32Array;
  readonly indices: Uint8Array;
  /** The first value is 0 and stays it. */
  readonly keepsZero: boolean;
}

const int32 = 6;

/** Constants become lookups in their codebooks, in place; by four bits a weight where 16 values do. */
export function writeCodebooks(model: Model, codebooks: readonly Codebook[], inFourBits: boolean): void {
  const { graph } = model;
  changeConstants(model, () => {
    for (const { name, dims, values, indices } of codebooks) {
      const stored = inFourBits
        ? ({ dataType: 'uint4', bytes: packed(indices) } as const)
        : ({ dataType: 'uint8', bytes: indices } as const);
      const places = addConstant(graph, { name: `${name}_indices`, dims, ...stored });
      const codebook = addConstant(graph, floatTensor(`${name}_codebook`, [values.length], values));
      const wide = uniqueName(graph, `${name}_wide`);
      graph.initializers.delete(name);
      graph.nodes.unshift(
        makeNode('Cast', [places], [wide], { to: attribute(int32) }),
        makeNode('Gather', [codebook, wide], [name], { axis: attribute(0) }),
      );
    }
  });
}

/**
 * The same for a training, in place: the values are weights, all but a zero that stays, and what is looked up are integers,
 * which training leaves as they are. The gradient of a value is the sum of those of its weights (Han et al. 2016). Returns
 * the names of the values, in the order of the codebooks; none where a codebook has no value to train.
 */
export function writeTrainable(model: Model, codebooks: readonly Codebook[]): (string | undefined)[] {
  const { graph } = model;
  const names: (string | undefined)[] = [];
  changeConstants(model, () => {
    for (const codebook of codebooks) names.push(addTrainable(graph, codebook));
  });
  return names;
}

function addTrainable(graph: Graph, { name, dims, values, indices, keepsZero }: Codebook): string | undefined {
  const moving = values.subarray(Number(keepsZero));
  if (moving.length === 0) return undefined;
  const trained = addConstant(graph, floatTensor(`${name}_values`, [moving.length], moving));
  const places = addConstant(graph, intTensor(`${name}_indices`, 'int32', dims, Int32Array.from(indices)));
  graph.initializers.delete(name);
  if (!keepsZero) {
    graph.nodes.unshift(makeNode('Gather', [trained, places], [name], { axis: attribute(0) }));
    return trained;
  }
  const [zero, codebook] = ['zero', 'codebook'].map((part) => uniqueName(graph, `${name}_${part}`)) as [string, string];
  graph.nodes.unshift(
    makeNode('Constant', [], [zero], { value: attribute(floatTensor(zero, [1], [0])) }),
    makeNode('Concat', [zero, trained], [codebook], { axis: attribute(0) }),
    makeNode('Gather', [codebook, places], [name], { axis: attribute(0) }),
  );
  return trained;
}

/** Codebooks with the values that a training gave them; what was looked up in the trained model goes, in place. */
export function takeTrained(
  { graph }: Model,
  codebooks: readonly Codebook[],
  names: readonly (string | undefined)[],
): Codebook[] {
  const learned = codebooks.map((codebook, i) => {
    const trained = graph.initializers.get(names[i] ?? '');
    if (!trained) return codebook;
    removeNode(graph, producerOf(graph, codebook.name)!);
    const values = floatsOf(trained);
    return { ...codebook, values: codebook.keepsZero ? Float32Array.of(0, ...values) : values };
  });
  removeUnused(graph);
  return learned;
}

/** Two to a byte, the first in the low half. */
export function packed(nibbles: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(nibbles.length / 2));
  for (let i = 0; i < nibbles.length; i++) bytes[i >> 1]! |= nibbles[i]! << (4 * (i & 1));
  return bytes;
}
