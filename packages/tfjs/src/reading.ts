import type { Tensor } from '@tensorflow/tfjs-core';
import type { Attribute, Node, Tensor as OnnxTensor } from '@modelmill/onnx';
import { intsOf } from '@modelmill/onnx';

/** One node as its operator's function sees it. */
export interface Reading {
  readonly node: Node;
  /** In order; undefined where left out. */
  readonly x: readonly (Tensor | undefined)[];
  int(name: string, otherwise: number): number;
  float(name: string, otherwise: number): number;
  text(name: string, otherwise: string): string;
  /** Integers that are known before anything runs: an attribute, or a constant at this place. */
  list(name: string, place?: number): readonly number[] | undefined;
}

export type TfjsOperator = (reading: Reading) => Tensor | readonly Tensor[];

export function readingOf(
  node: Node,
  x: readonly (Tensor | undefined)[],
  constants: ReadonlyMap<string, OnnxTensor>,
): Reading {
  const found = (name: string, kind: Attribute['kind']): unknown => {
    const attribute = node.attributes.get(name);
    return attribute?.kind === kind && 'value' in attribute ? attribute.value : undefined;
  };
  return {
    node,
    x,
    int: (name, otherwise) => (found(name, 'int') as number | undefined) ?? otherwise,
    float: (name, otherwise) => (found(name, 'float') as number | undefined) ?? otherwise,
    text: (name, otherwise) => (found(name, 'string') as string | undefined) ?? otherwise,
    list(name, place) {
      const ints = found(name, 'ints') as readonly number[] | undefined;
      const constant = place === undefined ? undefined : constants.get(node.inputs[place] ?? '');
      return ints ?? (constant && intsOf(constant));
    },
  };
}
