import { floatsOf } from '@modelmill/onnx';
import type { Attribute, Model, Node, Tensor, ValueInfo } from '@modelmill/onnx';

/** The same model computing in doubles: every float in it, but what operators always take as floats. */
export function inDoubles(model: Model): Model {
  const { graph } = model;
  const stays = new Set(graph.nodes.flatMap((node) => alwaysFloat(node)));
  const info = (value: ValueInfo): ValueInfo => (value.dataType === 'float' ? { ...value, dataType: 'double' } : value);
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map(info),
      outputs: graph.outputs.map(info),
      nodes: graph.nodes.map((node) => ({ ...node, attributes: new Map([...node.attributes].map(attributeIn(node))) })),
      initializers: new Map(
        [...graph.initializers].map(([name, tensor]) => [name, stays.has(name) ? tensor : doubled(tensor)]),
      ),
    },
  };
}

const alwaysFloat = ({ opType, inputs }: Node) => (opType === 'Resize' ? inputs.slice(2, 3) : []);

const attributeIn =
  ({ opType }: Node) =>
  ([name, value]: readonly [string, Attribute]): [string, Attribute] => {
    if (opType === 'Cast' && name === 'to' && value.kind === 'int' && value.value === 1) {
      return [name, { kind: 'int', value: 11 }];
    }
    return [name, value.kind === 'tensor' ? { kind: 'tensor', value: doubled(value.value) } : value];
  };

function doubled(tensor: Tensor): Tensor {
  if (tensor.dataType !== 'float') return tensor;
  const values = Float64Array.from(floatsOf(tensor));
  return { ...tensor, dataType: 'double', bytes: new Uint8Array(values.buffer) };
}
