import { topologicallySorted } from '@modelmill/onnx';
import type { Attribute, Node, Tensor } from '@modelmill/onnx';
import { holdsGraph } from '../constant-of.js';
import type { Scope } from './scope.js';

/** Operators that give something else each time. */
const random = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

export const isRandom = ({ opType }: Node): boolean => random.has(opType);

/** Constants of the same bytes become one. Two biases of zeros that are trained stay two: training tells them apart. */
export function shareConstants(scope: Scope): number {
  const { initializers } = scope.graph;
  const alike = new Map<string, Tensor[]>();
  for (const tensor of initializers.values()) {
    if (scope.isHeld(tensor.name)) continue;
    const key = `${tensor.dataType}:${tensor.dims.join()}`;
    const others = alike.get(key);
    if (others) others.push(tensor);
    else alike.set(key, [tensor]);
  }
  let shared = 0;
  for (const tensors of alike.values()) {
    const firsts = new Map<string, Tensor[]>();
    for (const tensor of tensors) {
      const key = beginning(tensor);
      const others = firsts.get(key) ?? [];
      const first = others.find(({ bytes }) => Buffer.compare(bytes, tensor.bytes) === 0);
      if (!first) firsts.set(key, [...others, tensor]);
      else if (!scope.isTrained(tensor.name) || !isUniform(tensor)) {
        redirect(scope, tensor.name, first.name);
        shared++;
      }
    }
  }
  return shared;
}

const beginning = ({ bytes }: Tensor) => Buffer.from(bytes.subarray(0, 64)).toString('latin1');

function isUniform({ bytes }: Tensor): boolean {
  const words = new Uint32Array(new Uint8Array(bytes).buffer);
  return words.every((word) => word === words[0]);
}

/** Nodes that compute the same of the same become one. */
export function shareNodes(scope: Scope): number {
  const firsts = new Map<string, Node>();
  let shared = 0;
  for (const node of topologicallySorted({ ...scope.graph, nodes: scope.nodes() })) {
    if (isRandom(node) || holdsGraph(node) || node.outputs.some(scope.isHeld)) continue;
    const key = keyOf(node);
    if (key === undefined) continue;
    const first = firsts.get(key);
    if (!first) firsts.set(key, node);
    else {
      node.outputs.forEach((output, i) => {
        if (output !== '') redirect(scope, output, first.outputs[i]!);
      });
      scope.remove(node);
      shared++;
    }
  }
  return shared;
}

/** Undefined where an attribute is not looked into. */
function keyOf({ opType, domain, inputs, outputs, attributes }: Node): string | undefined {
  const said = [...attributes].map(([name, value]) => [name, worded(value)] as const);
  if (said.some(([, word]) => word === undefined)) return undefined;
  const sorted = said.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([opType, domain, inputs, outputs.map((name) => name !== ''), sorted]);
}

/** JSON has no word for the numbers that are none. */
function worded(attribute: Attribute): readonly unknown[] | undefined {
  switch (attribute.kind) {
    case 'float':
    case 'int':
    case 'string':
      return [attribute.kind, inWord(attribute.value)];
    case 'floats':
    case 'ints':
    case 'strings':
      return [attribute.kind, ...attribute.value.map(inWord)];
    case 'tensor': {
      const { dataType, dims, bytes } = attribute.value;
      return bytes.byteLength > 1024 ? undefined : [dataType, dims, Buffer.from(bytes).toString('latin1')];
    }
    default:
      return undefined;
  }
}

const inWord = (value: string | number): string => (Object.is(value, -0) ? '-0' : String(value));

function redirect(scope: Scope, from: string, to: string): void {
  for (const node of scope.readers(from)) {
    scope.change(node, (one) => (one.inputs = one.inputs.map((name) => (name === from ? to : name))));
  }
}
