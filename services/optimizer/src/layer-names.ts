import type { Model, Node } from '@modelmill/onnx';
import { JobFailedError } from '@modelmill/store';

/** What a layer is called: its node's name or, where it has none, the name of what it makes. */
export const layerName = ({ name, outputs }: Pick<Node, 'name' | 'outputs'>): string => name || outputs[0]!;

const products = /^(Conv|Gemm|MatMul)$/;

/** Gives products without a name that of what they make, so that they keep it whatever is folded into them. */
export function nameLayers({ graph }: Model): void {
  for (const node of graph.nodes) if (products.test(node.opType)) node.name = layerName(node);
}

/**
 * Which of the layers stay as they are, by patterns of names in which `*` stands for any characters. Throws JobFailedError
 * where a pattern names none of them.
 */
export function excludedLayers(
  patterns: readonly string[],
  layers: readonly Pick<Node, 'name' | 'outputs'>[],
): (node: Node) => boolean {
  const tests = patterns.map(patternOf);
  const names = layers.map(layerName);
  tests.forEach((test, i) => {
    if (names.some((name) => test.test(name))) return;
    const known = names.map((name) => `'${name}'`).join(', ');
    throw new JobFailedError(`exclude '${patterns[i]}' names none of the layers that it could leave out: ${known}`);
  });
  return (node) => tests.some((test) => test.test(layerName(node)));
}

const patternOf = (pattern: string) =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
      .join('.*')}$`,
    's',
  );
