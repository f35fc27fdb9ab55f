import { cloneModel, densify } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';

/** A copy whose constants are all dense initializers, none of which is an input as well. */
export function constantsAsInitializers(parent: Model): Model {
  const model = densify(cloneModel(parent));
  const { graph } = model;
  graph.nodes = graph.nodes.filter(({ opType, domain, attributes, outputs }) => {
    const value = attributes.get('value');
    if (opType !== 'Constant' || domain !== '' || value?.kind !== 'tensor') return true;
    graph.initializers.set(outputs[0]!, { ...value.value, name: outputs[0]! });
    return false;
  });
  graph.inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  model.irVersion = Math.max(model.irVersion, 4);
  return model;
}
