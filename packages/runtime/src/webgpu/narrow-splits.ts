import { freshNames, int64Tensor, intsOf } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { constantsOf } from './constants-of.js';

/**
 * Splits of more than `most` outputs as trees of smaller ones. WebGPU gives a shader so many buffers and no more, one of
 * which is the input: ONNX Runtime 1.30 fails at the first run of a Split that wants another.
 */
export function narrowSplits(model: Model, most: number): Model {
  const { graph } = model;
  const initializers = new Map(graph.initializers);
  const constants = constantsOf(graph);
  const fresh = freshNames([
    ...initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap(({ outputs }) => outputs),
  ]);
  const nodes = graph.nodes.flatMap((node) => {
    const sizes = sizesOf(node, constants);
    return sizes === undefined || sizes.length <= most ? [node] : tree(node, sizes);
  });
  return { ...model, graph: { ...graph, nodes, initializers } };

  function tree(node: Node, sizes: readonly number[]): Node[] {
    const per = most * Math.ceil(sizes.length / most ** 2); // so that the first Split has `most` outputs, or fewer
    const chunks: { readonly name: string; readonly outputs: string[]; readonly sizes: readonly number[] }[] = [];
    for (let at = 0; at < sizes.length; at += per) {
      const outputs = node.outputs.slice(at, at + per);
      const name = outputs.length === 1 ? outputs[0]! : fresh(`${node.name}.part`);
      chunks.push({ name, outputs, sizes: sizes.slice(at, at + per) });
    }
    const first = split(
      node,
      node.inputs[0]!,
      chunks.map(({ name }) => name),
      chunks.map((chunk) => chunk.sizes.reduce((sum, size) => sum + size, 0)),
    );
    const rest = chunks.flatMap((chunk) => {
      if (chunk.outputs.length === 1) return [];
      const part = split(node, chunk.name, chunk.outputs, chunk.sizes);
      return chunk.outputs.length <= most ? [part] : tree(part, chunk.sizes);
    });
    return [first, ...rest];
  }

  function split(like: Node, from: string, outputs: readonly string[], sizes: readonly number[]): Node {
    const part = { ...like, name: fresh(like.name), outputs: [...outputs] };
    if (like.attributes.has('split')) {
      return {
        ...part,
        inputs: [from],
        attributes: new Map(like.attributes).set('split', { kind: 'ints', value: sizes }),
      };
    }
    const lengths = fresh(`${like.name}.sizes`);
    initializers.set(lengths, int64Tensor(lengths, [sizes.length], sizes));
    return { ...part, inputs: [from, lengths] };
  }
}

/** Of a Split that gives them as a constant or, before operator set 13, as an attribute. */
function sizesOf(
  { opType, domain, inputs, attributes }: Node,
  constants: ReadonlyMap<string, Tensor>,
): readonly number[] | undefined {
  if (opType !== 'Split' || domain !== '') return undefined;
  const given = attributes.get('split');
  if (given?.kind === 'ints') return given.value;
  const sizes = constants.get(inputs[1] ?? '');
  return sizes && intsOf(sizes);
}
