import { topologicallySorted } from './edit.js';
import { foldSmall } from './fold-small.js';
import { ShapeError } from './model.js';
import type { Model, Node, Tensor, ValueInfo } from './model.js';
import { quoted, sizes } from './quoted.js';
import type { ShapeQuestion, StaticType } from './shape-question.js';
import { constantTensor, shapeRules } from './shape-rules.js';
import { floatsOf, intsOf } from './tensor.js';

/** Types of a node's outputs, in order. Throws ShapeError naming the node. */
export function inferNode(
  node: Node,
  typeOf: (value: string) => StaticType | undefined,
  constantOf: (value: string) => Tensor | undefined,
): StaticType[] {
  return outputTypes(node, latestOpset, typeOf, constantOf);
}

const latestOpset = 23;

function outputTypes(
  node: Node,
  opset: number,
  typeOf: (value: string) => StaticType | undefined,
  constantOf: (value: string) => Tensor | undefined,
): StaticType[] {
  const rules = Object.hasOwn(shapeRules, node.domain) ? shapeRules[node.domain]! : {};
  const rule = Object.hasOwn(rules, node.opType) ? rules[node.opType] : undefined;
  const named = `node ${quoted(node.name)} (${node.opType})`;
  if (!rule) throw new ShapeError(`${named}: the shape of its output is unknown`);
  const attribute = (name: string) => node.attributes.get(name);
  const question: ShapeQuestion = {
    node,
    opset,
    x: node.inputs.map((input) => {
      if (input === '') return undefined;
      const type = typeOf(input);
      if (!type) throw new ShapeError(`${named}: the shape of its input ${quoted(input)} is unknown`);
      return type;
    }),
    ints(position) {
      const name = node.inputs[position];
      if (!name) return undefined;
      const tensor = constantOf(name);
      if (!tensor) throw new ShapeError(`its input ${quoted(name)} is no constant`);
      return intsOf(tensor);
    },
    floats(position) {
      const scales = attribute('scales');
      if (scales?.kind === 'floats') return scales.value;
      const name = node.inputs[position];
      if (!name) return undefined;
      const tensor = constantOf(name);
      if (!tensor) throw new ShapeError(`its input ${quoted(name)} is no constant`);
      return Array.from(floatsOf(tensor));
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
    return rule(question).map((type) => {
      if (type.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return type;
      throw new ShapeError(`its output would be ${sizes(type.shape)}`);
    });
  } catch (error) {
    if (error instanceof ShapeError) throw new ShapeError(`${named}: ${error.message}`, { cause: error });
    throw error;
  }
}

/**
 * Every value's type, from the inputs' sizes: those the model states, or `fixed` by input name where it leaves them
 * open. Constants are followed into the shapes they say. Throws ShapeError naming the node.
 */
export const inferShapes = (model: Model, fixed?: ReadonlyMap<string, readonly number[]>): Map<string, StaticType> =>
  inferValues(model, fixed).types;

export interface InferredValues {
  readonly types: Map<string, StaticType>;
  readonly constants: ReadonlyMap<string, Tensor>;
}

/**
 * As inferShapes, with the small values that follow from constants and shapes alone: what exporters compute shapes by.
 * Nothing follows from the values of initializers that are to change, such as trained weights.
 */
export const inferValues = (
  model: Model,
  fixed: ReadonlyMap<string, readonly number[]> = new Map(),
  changing: readonly string[] = [],
): InferredValues => infer(model, { fixed, changing, isStrict: true });

/** As inferValues, without those values whose type or number of elements cannot be known. */
export const inferWhatIsKnown = (model: Model, fixed: ReadonlyMap<string, readonly number[]>): InferredValues =>
  infer(model, { fixed, changing: [], isStrict: false });

interface Inference {
  readonly fixed: ReadonlyMap<string, readonly number[]>;
  readonly changing: readonly string[];
  /** Throws ShapeError where something cannot be known. */
  readonly isStrict: boolean;
}

function infer(model: Model, { fixed, changing, isStrict }: Inference): InferredValues {
  const { graph } = model;
  const opset = model.opsets.get('') ?? latestOpset;
  const types = new Map<string, StaticType>();
  const constants = new Map<string, Tensor>(graph.initializers);
  for (const name of changing) constants.delete(name);
  for (const [name, { dataType, dims }] of graph.initializers) types.set(name, { dataType, shape: dims });
  for (const [name, { values, dims }] of graph.sparseInitializers) {
    types.set(name, { dataType: values.dataType, shape: dims });
  }
  const orUnknown = <T>(known: () => T): T | undefined => {
    try {
      return known();
    } catch (error) {
      if (isStrict || !(error instanceof ShapeError)) throw error;
      return undefined;
    }
  };
  for (const input of graph.inputs) {
    if (types.has(input.name)) continue;
    const type = orUnknown(() => inputType(input, fixed.get(input.name)));
    if (type) types.set(input.name, type);
  }
  const typeOf = (name: string) => types.get(name);
  const constantOf = (name: string) => constants.get(name);
  for (const node of topologicallySorted(graph)) {
    if (node.opType === 'Constant') {
      const value = constantTensor(node.attributes);
      if (value) constants.set(node.outputs[0]!, value);
    }
    const outputs = orUnknown(() => outputTypes(node, opset, typeOf, constantOf));
    if (!outputs) continue;
    node.outputs.forEach((name, i) => {
      const type = outputs[i];
      if (name !== '' && type) types.set(name, type);
    });
    const folded = orUnknown(() => foldSmall(node, outputs[0], typeOf, constantOf));
    if (folded) constants.set(folded.name, folded);
  }
  return { types, constants };
}

function inputType({ name, dataType, shape }: ValueInfo, fixed: readonly number[] | undefined): StaticType {
  const named = `input ${quoted(name)}`;
  if (dataType === undefined) throw new ShapeError(`${named} is no tensor`);
  const open = fixed ?? shape;
  if (!open?.every((size): size is number => typeof size === 'number')) {
    throw new ShapeError(`${named} has open sizes ${shape ? sizes(shape) : ''}: fix them`);
  }
  const fits = shape?.length === open.length && shape.every((size, i) => typeof size !== 'number' || size === open[i]);
  if (shape && !fits) throw new ShapeError(`${named} is fixed to ${sizes(open)}, wants ${sizes(shape)}`);
  return { dataType, shape: open };
}
