import { makeNode } from './edit.js';
import { inferValues } from './infer-shapes.js';
import type { Graph, Model, Node } from './model.js';
import { emptyGraph } from './read-onnx.js';
import { attribute, int64Tensor, intsOf } from './tensor.js';

const ints = (name: string, values: number[], dims: number[] = [values.length]) => int64Tensor(name, dims, values);

/** A graph of `x` [2, 3, 4] and these nodes. */
function modelOf(nodes: Node[], initializers: ReturnType<typeof ints>[] = []): Model {
  const graph: Graph = emptyGraph('folding');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 3, 4] }];
  graph.nodes = nodes;
  for (const tensor of initializers) graph.initializers.set(tensor.name, tensor);
  return { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

const fixed = new Map([['x', [2, 3, 4]]]);

function valueOf(name: string, nodes: Node[], initializers: ReturnType<typeof ints>[] = []): number[] {
  return intsOf(inferValues(modelOf(nodes, initializers), fixed).constants.get(name)!);
}

describe('shapes computed in the graph', () => {
  it('are followed from Shape through Gather, Unsqueeze, Mul and Concat into Reshape', () => {
    const nodes = [
      makeNode('Shape', ['x'], ['shape']),
      makeNode('Gather', ['shape', 'zero'], ['batch'], { axis: attribute(0) }),
      makeNode('Gather', ['shape', 'two'], ['width']),
      makeNode('Mul', ['width', 'three'], ['flat']),
      makeNode('Unsqueeze', ['batch', 'axes'], ['batch.1']),
      makeNode('Unsqueeze', ['flat', 'axes'], ['flat.1']),
      makeNode('Concat', ['batch.1', 'flat.1'], ['to'], { axis: attribute(0) }),
      makeNode('Reshape', ['x', 'to'], ['y']),
    ];
    const model = modelOf(nodes, [
      ints('zero', [0], []),
      ints('two', [-1], []),
      ints('three', [3], []),
      ints('axes', [0]),
    ]);
    const { types, constants } = inferValues(model, fixed);
    expect(intsOf(constants.get('to')!)).toEqual([2, 12]);
    expect(types.get('y')).toMatchObject({ shape: [2, 12] });
  });

  it.each([
    ['a part of the sizes', [makeNode('Shape', ['x'], ['y'], { start: attribute(-2) })], [3, 4]],
    [
      'a slice backwards',
      [makeNode('Shape', ['x'], ['s']), makeNode('Slice', ['s', 'last', 'before', 'axis', 'back'], ['y'])],
      [4, 3],
    ],
    [
      'division towards zero',
      [makeNode('Shape', ['x'], ['s']), makeNode('Neg', ['s'], ['m']), makeNode('Div', ['m', 'two'], ['y'])],
      [-1, -1, -2],
    ],
    [
      'a size where another is -1',
      [
        makeNode('Equal', ['wish', 'back'], ['open']),
        makeNode('Shape', ['x'], ['s']),
        makeNode('Where', ['open', 's', 'wish'], ['y']),
      ],
      [2, 7, 4],
    ],
    ['a stretched number', [makeNode('Expand', ['two', 'wide'], ['y'])], [2, 2, 2]],
  ])('give %s', (_, nodes, wanted) => {
    const constants = [
      ints('last', [-1]),
      ints('before', [0]),
      ints('axis', [0]),
      ints('back', [-1]),
      ints('two', [2]),
      ints('wide', [3]),
      ints('wish', [-1, 7, -1]),
    ];
    expect(valueOf('y', nodes, constants)).toEqual(wanted);
  });

  it('stay unknown where they depend on the input', () => {
    const { constants } = inferValues(modelOf([makeNode('Neg', ['x'], ['y'])]), fixed);
    expect(constants.has('y')).toBe(false);
  });

  it('stay unknown where they follow from what is to change', () => {
    const model = modelOf([makeNode('Neg', ['weight'], ['y'])], [ints('weight', [1])]);
    expect(inferValues(model, fixed).constants.has('y')).toBe(true);
    expect(inferValues(model, fixed, ['weight']).constants.has('y')).toBe(false);
  });
});
