import { emptyGraph, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { narrowSplits } from './narrow-splits.js';
import { numbers, runnable } from './run-for-tests.js';

/** x [2, n] cut along its last axis into pieces of 1, 2, 3, 1, 2, 3, … columns. */
function splitting(outputs: number): { model: Model; width: number } {
  const sizes = Array.from({ length: outputs }, (_, i) => 1 + (i % 3));
  const width = sizes.reduce((sum, size) => sum + size, 0);
  const graph = emptyGraph('splitting');
  const names = sizes.map((_, i) => `y${i}`);
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [2, width] }];
  graph.outputs = names.map((name, i) => ({ name, dataType: 'float', shape: [2, sizes[i]!] }));
  graph.initializers.set('sizes', int64Tensor('sizes', [outputs], sizes));
  graph.nodes = [makeNode('Split', ['x', 'sizes'], names, { axis: { kind: 'int', value: -1 } })];
  return {
    model: { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] },
    width,
  };
}

describe('narrowed splits', () => {
  it.each([8, 22, 49, 50, 360])('give the same %d pieces with at most seven outputs a node', async (outputs) => {
    const { model, width } = splitting(outputs);
    const narrow = narrowSplits(model, 7);
    expect(Math.max(...narrow.graph.nodes.map((node) => node.outputs.length))).toBeLessThanOrEqual(7);
    const feeds = { x: { dims: [2, width], data: numbers(2 * width) } };
    expect(await (await runnable(narrow))(feeds)).toEqual(await (await runnable(model))(feeds));
  });

  it('leave splits that are narrow enough as they are', () => {
    const { model } = splitting(7);
    expect(narrowSplits(model, 7).graph.nodes).toEqual(model.graph.nodes);
  });
});
