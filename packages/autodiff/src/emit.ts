import { dataTypes, emptyGraph, floatTensor, freshNames, int64Tensor } from '@modelmill/onnx';
import type { Model, Node, Tensor, ValueInfo } from '@modelmill/onnx';
import { TrainingFormError } from './errors.js';
import { topological } from './topological.js';
import { operandsOf, runtimeDomain } from './value.js';
import type { Value } from './value.js';

export const opset = 18;
/** The first IR version that knows operator set 18. */
export const irVersion = 8;

const optionalOutputs: ReadonlySet<string> = new Set(['MaxPool', 'LayerNormalization']);

export interface Roots {
  readonly name: string;
  /** In the order of the model's inputs. */
  readonly inputs: readonly Value[];
  /** Output names and values, in order; a value may have several names. */
  readonly outputs: ReadonlyMap<string, Value>;
  /** Another form of a value, which is written in its place. */
  readonly formOf?: (value: Value) => Value | undefined;
}

/** Writes values down as an ONNX model of plain operators, and of those of ONNX Runtime that other forms are made of. */
export function emit({ name, inputs, outputs, formOf = () => undefined }: Roots): Model {
  const graph = emptyGraph(name);
  const names = new Map<Value, string>();
  const constants = new Map<string, readonly { readonly name: string; readonly values: ArrayLike<number> }[]>();
  const rootNames = new Map<Value, string>();
  for (const [output, value] of outputs) if (!rootNames.has(value)) rootNames.set(value, output);
  const { order, forms } = withForms([...outputs.values()], formOf);
  for (const [value, form] of forms) if (rootNames.has(value)) rootNames.set(form, rootNames.get(value)!);
  const used = new Set(order);
  const fresh = freshNames([...inputs.map(inputName), ...outputs.keys()]);

  const constantName = (value: Value): string => {
    const { source } = value;
    if (source.kind === 'tensor') {
      const made = fresh('constant');
      graph.initializers.set(made, { ...source.tensor, name: made });
      return made;
    }
    if (source.kind !== 'constant') throw new TrainingFormError('a value of no constant has no tensor');
    // the same constant many times over is one initializer
    const key = `${value.dataType}|${value.shape.join()}|${Array.prototype.slice.call(source.values, 0, 16).join()}`;
    const alike = constants.get(key) ?? [];
    const known = alike.find(({ values }) => sameNumbers(values, source.values));
    if (known) return known.name;
    const made = fresh('constant');
    constants.set(key, [...alike, { name: made, values: source.values }]);
    graph.initializers.set(made, tensorOf(made, value, source.values));
    return made;
  };

  /** Of convolutions: which shapes these have is decided here, and read where a provider wants others. */
  const weights = new Map<string, Value>();
  const written = new Set<object>();
  for (const value of order) {
    const { source } = value;
    const form = forms.get(value);
    if (form) {
      names.set(value, names.get(form)!);
      continue;
    }
    switch (source.kind) {
      case 'input':
        names.set(value, source.name);
        break;
      case 'constant':
      case 'tensor':
        names.set(value, constantName(value));
        break;
      case 'operation': {
        const { operation } = source;
        if (written.has(operation)) break;
        written.add(operation);
        // ONNX Runtime takes the fast path where MaxPool gives no positions, and crashes where Split lacks an output
        const mayLack = optionalOutputs.has(operation.opType);
        const outputNames = operation.outputs.map((output, place) => {
          const isTaken = used.has(output) || !mayLack || place === 0;
          if (forms.has(output)) return isTaken ? fresh('v') : ''; // its form has its name, and is read
          const made = rootNames.get(output) ?? (isTaken ? fresh('v') : '');
          names.set(output, made);
          return made;
        });
        while (outputNames.at(-1) === '') outputNames.pop();
        const node: Node = {
          name:
            operation.node ||
            `${operation.owner ? `${operation.owner}.` : ''}${operation.opType}.${graph.nodes.length}`,
          opType: operation.opType,
          domain: operation.domain,
          inputs: operation.inputs.map((operand) => (operand === undefined ? '' : names.get(operand)!)),
          outputs: outputNames,
          attributes: new Map(operation.attributes),
        };
        while (node.inputs.at(-1) === '') node.inputs.pop();
        graph.nodes.push(node);
        const weight = operation.opType === 'Conv' ? operation.inputs[1] : undefined;
        if (weight) weights.set(names.get(weight)!, weight);
      }
    }
  }
  // an output that is an input, a constant, or has a name already
  for (const [output, value] of outputs) {
    const made = names.get(value)!;
    if (made === output) continue;
    graph.nodes.push({
      name: `Identity.${graph.nodes.length}`,
      opType: 'Identity',
      domain: '',
      inputs: [made],
      outputs: [output],
      attributes: new Map(),
    });
  }
  graph.valueInfo = [...weights].map(([made, weight]) => infoOf(made, weight));
  graph.inputs = inputs.map((value) => infoOf(inputName(value), value));
  graph.outputs = [...outputs].map(([output, value]) => infoOf(output, value));
  return {
    irVersion,
    opsets: new Map([['', opset], ...(graph.nodes.some(isOfRuntime) ? [[runtimeDomain, 1] as const] : [])]),
    producer: 'modelmill',
    metadata: new Map(),
    graph,
    functions: [],
  };
}

const isOfRuntime = ({ domain }: Node): boolean => domain === runtimeDomain;

function inputName({ source }: Value): string {
  if (source.kind !== 'input') throw new TrainingFormError('only inputs can be inputs of a graph');
  return source.name;
}

const infoOf = (name: string, { dataType, shape }: Value): ValueInfo => ({ name, dataType, shape });

function tensorOf(name: string, { dataType, shape }: Value, values: ArrayLike<number>): Tensor {
  switch (dataType) {
    case 'float':
      return floatTensor(name, shape, values);
    case 'int64':
      return int64Tensor(name, shape, values);
    default:
      throw new TrainingFormError(`constants are float or int64, got ${dataType} (${dataTypes[dataType]})`);
  }
}

function sameNumbers(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** What is written, each value's other form before it. */
function withForms(roots: readonly Value[], formOf: (value: Value) => Value | undefined) {
  const forms = new Map<Value, Value>();
  const order = topological(roots, (value) => {
    const form = formOf(value);
    if (!form) return operandsOf(value);
    forms.set(value, form);
    return [form];
  });
  return { order, forms };
}
