import {
  attribute,
  cloneModel,
  dataTypes,
  densify,
  expandFunctions,
  freshNames,
  makeNode,
  removeUnused,
  subgraphsOf,
  topologicallySorted,
  valueNames,
  valuesRead,
} from '@modelmill/onnx';
import type { Graph, Model, Node, Tensor } from '@modelmill/onnx';
import { knownValues } from '../simplify/known-values.js';
import type { KnownValues } from '../simplify/known-values.js';
import { blockedOperators, indifferentOperators, wideInputs } from './blocked-operators.js';
import { halfTensor } from './half-tensor.js';

export interface HalfOptions {
  /** Inputs and outputs become halves, too. */
  readonly convertIo: boolean;
  /** Operators and nodes that go on computing in 32 bits beside those that always do. */
  readonly blockedOperators: readonly string[];
  readonly blockedNodes: readonly string[];
}

export interface Halved {
  readonly model: Model;
  /** Nodes that compute with halves. */
  readonly halves: number;
  /** Operators that go on with floats, and how many nodes of each. */
  readonly floats: ReadonlyMap<string, number>;
  /** Casts between both. */
  readonly casts: number;
  /** Constants' numbers that no half comes near to. */
  readonly clamped: number;
}

/**
 * A copy that computes with 16-bit floats where it computed with 32-bit ones. Values keep their names where they stay
 * floats, and have new ones as halves: blocked nodes and inner graphs need no change.
 */
export function computeHalves(parent: Model, options: HalfOptions): Halved {
  const model = densify(cloneModel(expandFunctions(parent)));
  const { graph } = model;
  // what an initializer fills is none of the caller's to give
  graph.inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  model.irVersion = Math.max(model.irVersion, 4);
  const known = knownValues(model);
  const opset = model.opsets.get('') ?? 0;
  const fresh = freshNames(valueNames(graph));
  const captured = new Set(graph.nodes.filter(holdsGraphs).flatMap((node) => [...valuesRead(node)]));
  const isFloat = (value: string) => value !== '' && known.dataType(value) === 'float';

  const forms = createForms(graph, known, fresh);
  if (options.convertIo) forms.convertInputs(captured);
  const floats = new Map<string, number>();
  let halves = 0;
  for (const node of topologicallySorted(graph)) {
    if (isConstant(node) || !makesOrReadsFloats(node, isFloat)) {
      forms.keep(node);
      continue;
    }
    if (isBlocked(node, known, options)) {
      floats.set(node.opType, (floats.get(node.opType) ?? 0) + 1);
      forms.keep({ ...node, inputs: node.inputs.map((value) => (isFloat(value) ? forms.asFloat(value) : value)) });
      continue;
    }
    const wide = wideInputs(node.opType, opset);
    const isIndifferent = indifferentOperators.has(node.opType);
    halves++;
    const inputs = node.inputs.map((value, i) => {
      if (!isFloat(value)) return value;
      if (isIndifferent) return forms.asMade(value);
      return wide.includes(i) ? forms.asFloat(value) : forms.asHalf(value);
    });
    const outputs = node.outputs.map((value) => (isFloat(value) ? forms.madeHalf(value) : value));
    forms.keep({ ...node, inputs, outputs, attributes: halfAttributes(node) });
  }
  for (const value of captured) if (isFloat(value)) forms.asFloat(value);
  graph.outputs = graph.outputs.map((output) => {
    if (!isFloat(output.name) || output.dataType !== 'float') return output;
    if (!options.convertIo || captured.has(output.name) || graph.initializers.has(output.name)) {
      forms.asFloat(output.name);
      return output;
    }
    forms.outputAsHalf(output.name);
    return { ...output, dataType: 'float16' };
  });
  const { nodes, casts, clamped } = forms.finish();
  graph.nodes = nodes;
  graph.valueInfo = [];
  removeUnused(graph);
  return { model, halves, floats, casts, clamped };
}

const holdsGraphs = (node: Node) => subgraphsOf(node).length > 0;
const isConstant = ({ opType, domain }: Node) => opType === 'Constant' && domain === '';
const makesOrReadsFloats = ({ inputs, outputs }: Node, isFloat: (value: string) => boolean) =>
  inputs.some(isFloat) || outputs.some(isFloat);

function isBlocked(node: Node, known: KnownValues, { blockedOperators: more, blockedNodes }: HalfOptions): boolean {
  const { opType, domain, name, outputs } = node;
  if (domain !== '' || holdsGraphs(node) || blockedOperators.has(opType)) return true;
  if (more.includes(opType) || (name !== '' && blockedNodes.includes(name))) return true;
  // mean and deviation of a LayerNormalization stay floats
  if (opType === 'LayerNormalization' && outputs.slice(1).some((value) => value !== '')) return true;
  return [...node.inputs, ...outputs].some((value) => value !== '' && known.dataType(value) === undefined);
}

/** Attributes that say the type of what is made. */
function halfAttributes({ opType, attributes }: Node): Node['attributes'] {
  const changed = new Map(attributes);
  const to = attributes.get('to');
  if (opType === 'Cast' && to?.kind === 'int' && to.value === dataTypes.float) {
    changed.set('to', attribute(dataTypes.float16));
  }
  if (opType === 'ConstantOfShape') {
    const value = attributes.get('value');
    const of: Tensor =
      value?.kind === 'tensor'
        ? value.value
        : { name: 'value', dataType: 'float', dims: [1], bytes: new Uint8Array(4) };
    if (of.dataType === 'float') changed.set('value', attribute(halfTensor(of).tensor));
  }
  return changed;
}

/** Values in the forms that are asked for, each cast once. */
function createForms(graph: Graph, known: KnownValues, fresh: (wanted: string) => string) {
  const nodes: Node[] = [];
  /** Names as halves and as floats; a value has the one that it is made in, and the other once it is asked for. */
  const asHalves = new Map<string, string>();
  const asFloats = new Map<string, string>();
  const madeHalves = new Set<string>();
  let casts = 0;
  let clamped = 0;

  const cast = (from: string, to: string, type: 'float' | 'float16') => {
    nodes.push(makeNode('Cast', [from], [to], { to: attribute(dataTypes[type]) }));
    casts++;
  };
  const constants = new Set(graph.nodes.filter(isConstant).map(({ outputs }) => outputs[0]!));
  const constantOf = (value: string): Tensor | undefined =>
    graph.initializers.get(value) ?? (constants.has(value) ? known.constant(value) : undefined);

  function asHalf(value: string): string {
    const found = asHalves.get(value);
    if (found !== undefined) return found;
    const name = fresh(`${value}_half`);
    asHalves.set(value, name);
    const constant = constantOf(value);
    if (constant) {
      const half = halfTensor(constant);
      clamped += half.clamped;
      graph.initializers.set(name, { ...half.tensor, name });
    } else cast(asFloats.get(value) ?? value, name, 'float16');
    return name;
  }
  function asFloat(value: string): string {
    const found = asFloats.get(value);
    if (found !== undefined) return found;
    asFloats.set(value, value);
    if (madeHalves.has(value)) cast(asHalves.get(value)!, value, 'float');
    return value;
  }

  return {
    asHalf,
    asFloat,
    /** As it is, whichever that is. */
    asMade: (value: string) => (madeHalves.has(value) ? asHalf(value) : asFloat(value)),
    /** The name of a value that a node makes as a half. */
    madeHalf(value: string): string {
      const name = fresh(`${value}_half`);
      madeHalves.add(value);
      asHalves.set(value, name);
      return name;
    },
    keep: (node: Node) => void nodes.push(node),
    /** Inputs are halves under their own names. */
    convertInputs(captured: ReadonlySet<string>): void {
      graph.inputs = graph.inputs.map((input) => {
        if (input.dataType !== 'float' || captured.has(input.name)) return input;
        const wide = fresh(`${input.name}_float`);
        asHalves.set(input.name, input.name);
        asFloats.set(input.name, wide);
        cast(input.name, wide, 'float');
        return { ...input, dataType: 'float16' };
      });
    },
    /** An output is a half under its own name. */
    outputAsHalf(value: string): void {
      const half = asHalf(value);
      const wide = fresh(`${value}_float`);
      const renamed = (name: string) => (name === value ? wide : name === half ? value : name);
      for (const node of nodes) {
        node.inputs = node.inputs.map(renamed);
        node.outputs = node.outputs.map(renamed);
      }
    },
    finish: () => ({ nodes, casts, clamped }),
  };
}
