import { emptyGraph, floatTensor, makeNode } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { fitWebGpu } from './fit-webgpu.js';

function modelOf(nodes: Node[], version = 18): Model {
  const graph = emptyGraph('main');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 6, 8, 8] }];
  graph.initializers.set('w', floatTensor('w', [4, 6, 3, 3], new Float32Array(4 * 6 * 9)));
  graph.nodes = nodes.map((node) => ({ ...node, name: '' }));
  return { irVersion: 8, opsets: new Map([['', version]]), producer: '', metadata: new Map(), graph, functions: [] };
}
const left = (...nodes: Node[]) => fitWebGpu(modelOf(nodes)).leftToCpu;
const kinds = ({ graph }: Model) => graph.nodes.map(({ opType }) => opType);
const outputs = Array.from({ length: 8 }, (_, i) => `y${i}`);

describe('a model for WebGPU', () => {
  it('leaves to the CPU what has no right form there, by names of its own', () => {
    const pools = ['a', 'b'].map((y) => makeNode('MaxPool', ['x'], [y, `${y}.at`]));
    expect(left(...pools)).toEqual(['MaxPool', 'MaxPool_1']);
    expect(left(makeNode('Split', ['x', 'computed'], outputs))).toEqual(['Split']);
    expect(left(makeNode('Relu', ['x'], ['v']), makeNode('Conv', ['x', 'v'], ['y']))).toEqual(['Conv']);
    expect(left(makeNode('Conv', ['x', 'w'], ['y']), makeNode('MaxPool', ['y'], ['z']))).toEqual([]);
  });

  it('pads weights of Constant nodes and behind the scale of a quantization', () => {
    const weight = floatTensor('c', [4, 6, 3, 3], new Float32Array(4 * 6 * 9));
    const constant = makeNode('Constant', [], ['c'], { value: { kind: 'tensor', value: weight } });
    const scaled = makeNode('DequantizeLinear', ['c', 's'], ['d']);
    const { model, leftToCpu } = fitWebGpu(modelOf([constant, scaled, makeNode('Conv', ['x', 'd'], ['y'])]));
    expect(kinds(model)).toEqual(['Constant', 'DequantizeLinear', 'Pad', 'Pad', 'Conv']);
    expect(leftToCpu).toEqual([]);
  });

  it('writes Pad and Split as operator set 10 has them', () => {
    const sizes = { split: { kind: 'ints', value: outputs.map(() => 1) }, axis: { kind: 'int', value: 2 } } as const;
    const nodes = [makeNode('Conv', ['x', 'w'], ['y']), makeNode('Split', ['x'], outputs, sizes)];
    const { model, leftToCpu } = fitWebGpu(modelOf(nodes, 10));
    expect(leftToCpu).toEqual([]);
    for (const { opType, inputs } of model.graph.nodes) {
      if (opType !== 'Conv') expect(inputs).toHaveLength(1);
    }
  });

  it('is refused where a convolution hides in a subgraph', () => {
    const body = { ...emptyGraph('body'), nodes: [makeNode('Conv', ['x', 'w'], ['y'])] };
    const choice = makeNode('If', ['c'], ['y'], { then_branch: { kind: 'graph', value: body } });
    expect(() => left(choice)).toThrow('a Conv within a subgraph');
  });
});
