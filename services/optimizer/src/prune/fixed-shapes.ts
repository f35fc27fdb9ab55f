import { inferValues, int64Tensor, intsOf, removeUnused, ShapeError, uniqueName } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';

/**
 * Makes the shapes that Reshapes are told constants, in place, where they follow from sizes that are known: exporters
 * compute them from those of other values. The one size that follows the batch becomes −1.
 */
export function fixShapes(model: Model): void {
  const { graph } = model;
  const computed = graph.nodes.filter(
    ({ opType, domain, inputs }) => opType === 'Reshape' && domain === '' && !graph.initializers.has(inputs[1]!),
  );
  if (computed.length === 0) return;
  const [one, two] = [1, 2].map((batch) => constantsAt(model, batch));
  for (const node of computed) {
    const [of1, of2] = [one, two].map((constants) => constants?.get(node.inputs[1]!));
    if (!of1 || !of2) continue;
    const [at1, at2] = [intsOf(of1), intsOf(of2)];
    const sizes = at1.map((size, axis) => (size === at2[axis] ? size : -1));
    if (sizes.filter((size) => size === -1).length > 1) continue;
    const name = uniqueName(graph, `${node.outputs[0]}_shape`);
    graph.initializers.set(name, int64Tensor(name, [sizes.length], sizes));
    node.inputs = [node.inputs[0]!, name];
  }
  removeUnused(graph);
}

/** What follows from constants and shapes alone for so many examples; undefined where shapes do not. */
function constantsAt(model: Model, batch: number): ReturnType<typeof inferValues>['constants'] | undefined {
  const fixed = model.graph.inputs.map(({ name, shape = [] }) => {
    const sizes = shape.map((size, axis) => (axis === 0 && typeof size !== 'number' ? batch : size));
    return [name, sizes.filter((size) => typeof size === 'number')] as const;
  });
  try {
    return inferValues(model, new Map(fixed)).constants;
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}
