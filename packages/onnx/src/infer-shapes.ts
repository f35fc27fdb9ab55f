import { topologicallySorted } from './edit.js';
import { ShapeError } from './model.js';
import type { DataType, Model, Node, Tensor, ValueType } from './model.js';
import { shapeRules } from './shape-rules.js';
import { intsOf } from './tensor.js';

/** A value whose every size is known. */
export interface StaticType extends ValueType {
  readonly dataType: DataType;
  readonly shape: readonly number[];
}

/** What a shape rule sees of a node. */
export interface ShapeQuestion {
  readonly node: Node;
  /** Types of the inputs in order; undefined for one that is left out. */
  readonly x: readonly (StaticType | undefined)[];
  /** The integers of an input that is a constant, by its position. */
  ints(position: number): readonly number[] | undefined;
  int(name: string, otherwise: number): number;
  list(name: string): readonly number[] | undefined;
  word(name: string, otherwise: string): string;
}

/** Types of a node's outputs, in order. Throws ShapeError naming the node. */
export function inferNode(
  node: Node,
  typeOf: (value: string) => StaticType | undefined,
  constantOf: (value: string) => Tensor | undefined,
): StaticType[] {
  const rule = shapeRules[node.opType];
  const named = `node '${node.name}' (${node.opType})`;
  if (!rule || node.domain !== '') throw new ShapeError(`${named}: the shape of its output is unknown`);
  const attribute = (name: string) => node.attributes.get(name);
  const question: ShapeQuestion = {
    node,
    x: node.inputs.map((input) => {
      if (input === '') return undefined;
      const type = typeOf(input);
      if (!type) throw new ShapeError(`${named}: the shape of its input '${input}' is unknown`);
      return type;
    }),
    ints(position) {
      const name = node.inputs[position];
      const tensor = name ? constantOf(name) : undefined;
      return tensor && intsOf(tensor);
    },
    int(name, otherwise) {
      const found = attribute(name);
      return found?.kind === 'int' ? found.value : otherwise;
    },
    list(name) {
      const found = attribute(name);
      return found?.kind === 'ints' ? found.value : undefined;
    },
    word(name, otherwise) {
      const found = attribute(name);
      return found?.kind === 'string' ? found.value : otherwise;
    },
  };
  try {
    return rule(question);
  } catch (error) {
    if (error instanceof ShapeError) throw new ShapeError(`${named}: ${error.message}`, { cause: error });
    throw error;
  }
}

/**
 * Every value's type, from the inputs' sizes: those the model states, or `fixed` by input name where it leaves them
 * open. Constants are followed into the shapes they say. Throws ShapeError naming the node.
 */
export function inferShapes(
  model: Model,
  fixed: ReadonlyMap<string, readonly number[]> = new Map(),
): Map<string, StaticType> {
  const { graph } = model;
  const types = new Map<string, StaticType>();
  const constants = new Map<string, Tensor>(graph.initializers);
  for (const [name, { dataType, dims }] of graph.initializers) types.set(name, { dataType, shape: dims });
  for (const [name, { values, dims }] of graph.sparseInitializers) {
    types.set(name, { dataType: values.dataType, shape: dims });
  }
  for (const input of graph.inputs) {
    if (types.has(input.name)) continue;
    const shape = fixed.get(input.name) ?? input.shape;
    if (input.dataType === undefined || !shape?.every((size): size is number => typeof size === 'number')) {
      throw new ShapeError(`input '${input.name}' has open sizes [${(input.shape ?? []).join(', ')}]: fix them`);
    }
    types.set(input.name, { dataType: input.dataType, shape });
  }
  for (const node of topologicallySorted(graph)) {
    if (node.opType === 'Constant') {
      const value = node.attributes.get('value');
      if (value?.kind === 'tensor') constants.set(node.outputs[0]!, value.value);
    }
    const outputs = inferNode(
      node,
      (name) => types.get(name),
      (name) => constants.get(name),
    );
    node.outputs.forEach((name, i) => {
      const type = outputs[i];
      if (name !== '' && type) types.set(name, type);
    });
  }
  return types;
}
