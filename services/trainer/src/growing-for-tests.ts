import { emptyGraph, makeNode } from '@modelmill/onnx';
import { openScannedSession } from '@modelmill/runtime';
import type { ScannedSession } from '@modelmill/runtime';

export const scalar = (value: number) => ({ dims: [1], data: Float32Array.of(value) });

/** weight' = weight · factor; loss = weight' + 1. */
export function openGrowing(): Promise<ScannedSession> {
  const graph = emptyGraph('growing');
  const value = (name: string) => ({ name, dataType: 'float' as const, shape: [1] });
  graph.inputs = ['weight', 'factor', 'one'].map(value);
  graph.outputs = ['next', 'loss'].map(value);
  graph.nodes = [makeNode('Mul', ['weight', 'factor'], ['next']), makeNode('Add', ['next', 'one'], ['loss'])];
  const model = { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
  return openScannedSession(model, [{ input: 'weight', output: 'next' }], { told: ['loss'], providers: ['cpu'] });
}
