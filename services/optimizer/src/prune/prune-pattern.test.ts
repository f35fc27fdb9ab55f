import { floatTensor, floatsOf, makeNode } from '@modelmill/onnx';
import { modelOf, someCnn } from '../models-for-tests.js';
import { prunePattern } from './prune-pattern.js';

describe('pruning by a pattern', () => {
  it('of 2:4 keeps the two largest in every four along the inputs of one output (case 18)', () => {
    const columns = [1, -8, 2, 7, 3, -6, 4, 5];
    const model = modelOf([4], [makeNode('MatMul', ['input', 'w'], ['y'])], [floatTensor('w', [4, 2], columns)], [2]);
    expect(prunePattern(model, { kept: 2, of: 4 })).toBe(4);
    expect([...floatsOf(model.graph.initializers.get('w')!)]).toEqual([0, -8, 0, 7, 3, 0, 4, 0]);
  });

  it('follows the rows of a transposed matrix, and leaves a rest that fills no group', () => {
    const model = modelOf(
      [5],
      [makeNode('Gemm', ['input', 'w'], ['y'], { transB: { kind: 'int', value: 1 } })],
      [floatTensor('w', [2, 5], [1, 2, 3, 4, 0.1, 4, 4, 4, 4, 0.2])],
      [2],
    );
    prunePattern(model, { kept: 2, of: 4 });
    const pruned = Float32Array.of(0, 0, 3, 4, 0.1, 4, 4, 0, 0, 0.2);
    expect(floatsOf(model.graph.initializers.get('w')!)).toEqual(pruned);
  });

  it('changes nothing where the pattern is there already', () => {
    const model = someCnn();
    expect(prunePattern(model, { kept: 1, of: 4 })).toBeGreaterThan(0);
    expect(prunePattern(model, { kept: 1, of: 4 })).toBe(0);
  });
});
