import { emptyGraph, floatTensor, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { examplesInRun } from './examples-in-run.js';

/** So many multiply-adds an example, with one matrix that many layers share. */
function network(width: number, depth: number): Model {
  const graph = emptyGraph('network');
  graph.inputs = [{ name: 'v0', dataType: 'float', shape: ['n', width] }];
  graph.outputs = [{ name: `v${depth}`, dataType: 'float', shape: ['n', width] }];
  graph.initializers.set('w', floatTensor('w', [width, width], new Float32Array(width * width)));
  graph.nodes = Array.from({ length: depth }, (_, i) => makeNode('MatMul', [`v${i}`, 'w'], [`v${i + 1}`]));
  return { irVersion: 9, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

describe('the examples of one run', () => {
  it.each([
    ['all that is asked for, of a small network', network(100, 3), 256],
    ['fewer, so that a run of a large one ends in time', network(1000, 1000), 50],
    ['one, however large it is', network(1000, 100_000), 1],
  ])('are %s', (_, model, count) => expect(examplesInRun(model, 256)).toBe(count));
});
