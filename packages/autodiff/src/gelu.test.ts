import { emptyGraph, floatTensor, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { emit } from './emit.js';
import { readGraph } from './read-graph.js';
import { numbers, runnable } from './run-for-tests.js';

type Node = readonly [opType: string, operands: readonly string[]];

/** Values a, b, c, … in order; an operand that is a number is a constant. */
function written(nodes: readonly Node[]): Model {
  const graph = emptyGraph('gelu');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [2, 50] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [2, 50] }];
  const nameOf = (at: number) => (at === nodes.length - 1 ? 'y' : 'abcdefgh'.charAt(at));
  graph.nodes = nodes.map(([opType, operands], at) => makeNode(opType, [...operands], [nameOf(at)], {}, nameOf(at)));
  for (const operand of nodes.flatMap(([, operands]) => operands)) {
    if (Number.isNaN(Number(operand))) continue;
    graph.initializers.set(operand, floatTensor(operand, [], [Number(operand)]));
  }
  return { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

const asWeWrite: readonly Node[] = [
  ['Div', ['x', '1.4142135623730951']],
  ['Erf', ['a']],
  ['Add', ['b', '1']],
  ['Mul', ['x', 'c']],
  ['Mul', ['d', '0.5']],
];
const otherOrder: readonly Node[] = [
  ['Mul', ['0.70710678', 'x']],
  ['Erf', ['a']],
  ['Add', ['1', 'b']],
  ['Mul', ['c', 'x']],
  ['Mul', ['0.5', 'd']],
];
/** With another operand in one place. */
const but = (node: number, operands: readonly string[]) =>
  asWeWrite.map((was, at): Node => (at === node ? [was[0], operands] : was));

async function readAndRun(model: Model) {
  const { features, output } = readGraph(model, 2);
  const read = emit({ name: 'read', inputs: [features], outputs: new Map([['y', output]]) });
  const x = { dims: [2, 50], data: numbers(100, { low: -6, high: 6 }) };
  const answers = await Promise.all([model, read].map(async (one) => (await (await runnable(one))({ x }))['y']!));
  return { opTypes: read.graph.nodes.map(({ opType }) => opType), wanted: answers[0]!, got: answers[1]! };
}

it.each([
  ['in the order that layers and PyTorch write it', asWeWrite],
  ['in another order', otherOrder],
])('a Gelu that is written in older operators, %s, is read as four passes with the same results', async (_, nodes) => {
  const { opTypes, wanted, got } = await readAndRun(written(nodes));
  expect(opTypes).toEqual(['Mul', 'Erf', 'HardSigmoid', 'Mul']);
  wanted.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 6));
});

it.each([
  ['halved by another number', but(4, ['d', '0.6'])],
  ['of another deviation', but(0, ['x', '1.5'])],
  ['with another offset', but(2, ['b', '2'])],
  ['of one value times the share of another', but(3, ['b', 'c'])],
])('a product that is no Gelu (%s) stays as it is', async (_, nodes) => {
  const { opTypes, wanted, got } = await readAndRun(written(nodes));
  expect(opTypes).toEqual(nodes.map(([opType]) => opType));
  expect(got).toEqual(wanted);
});
