import {
  cloneModel,
  consumersOf,
  cutFinalSoftmax,
  makeNode,
  producerOf,
  removeUnused,
  replaceInput,
  topologicallySorted,
  uniqueName,
} from './edit.js';
import { OnnxFormatError } from './model.js';
import type { Graph, Model, Node, ValueInfo } from './model.js';
import { emptyGraph } from './read-onnx.js';
import { densify } from './sparse.js';
import { floatTensor } from './tensor.js';

const value = (name: string, shape: ValueInfo['shape'] = ['n', 3]): ValueInfo => ({ name, dataType: 'float', shape });

function graphOf(nodes: Node[], parts: Partial<Graph> = {}): Graph {
  return { ...emptyGraph(), nodes, inputs: [value('x')], outputs: [value('y')], ...parts };
}

function modelOf(graph: Graph): Model {
  const opsets = new Map([['', 18]]);
  return { irVersion: 8, opsets, producer: '', metadata: new Map(), functions: [], graph };
}

/** A node whose branch reads `captured` from the graph around it. */
const branching = (captured: string, output: string) =>
  makeNode('If', ['condition'], [output], {
    then_branch: {
      kind: 'graph',
      value: {
        ...emptyGraph(),
        nodes: [makeNode('Relu', ['own'], ['inner']), makeNode('Add', ['inner', captured], ['sum'])],
        initializers: new Map([['own', floatTensor('own', [1], [1])]]),
        outputs: [value('sum')],
      },
    },
  });

const opTypes = (nodes: readonly Node[]) => nodes.map(({ opType }) => opType);

describe('topologicallySorted', () => {
  it('puts producers before consumers', () => {
    const graph = graphOf([
      makeNode('Relu', ['b'], ['y']),
      makeNode('Add', ['a', 'x'], ['b']),
      makeNode('Neg', ['x'], ['a']),
    ]);
    expect(opTypes(topologicallySorted(graph))).toEqual(['Neg', 'Add', 'Relu']);
  });

  it('counts what a subgraph reads from around it', () => {
    const graph = graphOf([branching('a', 'y'), makeNode('Neg', ['x'], ['a'])]);
    expect(opTypes(topologicallySorted(graph))).toEqual(['Neg', 'If']);
  });

  it('takes outputs and inputs that are left out for no connection', () => {
    const lstm = makeNode('LSTM', ['x', 'w', 'r', '', '', ''], ['', 'y']);
    const clip = makeNode('Clip', ['x', '', 'w'], ['c']);
    expect(opTypes(topologicallySorted(graphOf([clip, lstm])))).toEqual(['Clip', 'LSTM']);
  });

  it('throws on a circle and names a node of it', () => {
    const graph = graphOf([
      makeNode('Relu', ['x'], ['y']),
      makeNode('Add', ['x', 'b'], ['a'], {}, 'add'),
      makeNode('Neg', ['a'], ['b']),
    ]);
    expect(() => topologicallySorted(graph)).toThrow(OnnxFormatError);
    expect(() => topologicallySorted(graph)).toThrow("'add' (Add)");
  });
});

describe('removeUnused', () => {
  it('keeps what outputs are computed from, and nothing else', () => {
    const tensor = (name: string) => [name, floatTensor(name, [1], [1])] as const;
    const graph = graphOf(
      [
        makeNode('Add', ['x', 'w'], ['a']),
        makeNode('Mul', ['a', 'unused'], ['b']),
        makeNode('Neg', ['b'], ['c']),
        makeNode('Relu', ['a'], ['y']),
      ],
      {
        initializers: new Map([tensor('w'), tensor('unused')]),
        valueInfo: [value('a'), value('b')],
      },
    );
    removeUnused(graph);
    expect(opTypes(graph.nodes)).toEqual(['Add', 'Relu']);
    expect([...graph.initializers.keys()]).toEqual(['w']);
    expect(graph.valueInfo.map(({ name }) => name)).toEqual(['a']);
  });

  it('keeps what only a subgraph reads', () => {
    const graph = graphOf([makeNode('Neg', ['x'], ['a']), branching('a', 'y')]);
    removeUnused(graph);
    expect(opTypes(graph.nodes)).toEqual(['Neg', 'If']);
  });

  it('takes an output that is left out for one that nobody reads', () => {
    const graph = graphOf([makeNode('LSTM', ['x', 'x', 'x'], ['', 'h']), makeNode('Clip', ['x', '', 'x'], ['y'])]);
    removeUnused(graph);
    expect(opTypes(graph.nodes)).toEqual(['Clip']);
  });
});

describe('uniqueName', () => {
  const graph = graphOf([makeNode('Relu', ['x'], ['y']), branching('x', 'z')], {
    initializers: new Map([['w', floatTensor('w', [0], [])]]),
  });

  it('is the wanted one where no value has it', () => expect(uniqueName(graph, 'v')).toBe('v'));

  it.each(['x', 'y', 'w', 'own', 'sum'])(
    'avoids %s, which is an input, output, initializer or inner value',
    (taken) => {
      expect(uniqueName(graph, taken)).toBe(`${taken}_1`);
    },
  );

  it('counts on', () => {
    const two = graphOf([makeNode('Split', ['x'], ['y', 'y_1'])]);
    expect(uniqueName(two, 'y')).toBe('y_2');
  });
});

describe('cutFinalSoftmax', () => {
  it('gives out what the softmax took in', () => {
    const model = modelOf(
      graphOf([makeNode('Relu', ['x'], ['logits']), makeNode('Softmax', ['logits'], ['y'])], {
        valueInfo: [value('logits')],
      }),
    );
    expect(cutFinalSoftmax(model)).toBe('logits');
    expect(opTypes(model.graph.nodes)).toEqual(['Relu']);
    expect(model.graph.outputs).toEqual([value('logits')]);
    expect(model.graph.valueInfo).toEqual([]);
  });

  it.each<[string, Graph]>([
    ['another last operator', graphOf([makeNode('Softmax', ['x'], ['a']), makeNode('Relu', ['a'], ['y'])])],
    ['a softmax of another domain', graphOf([{ ...makeNode('Softmax', ['x'], ['y']), domain: 'custom' }])],
    [
      'a softmax beside another output',
      graphOf([makeNode('Softmax', ['x'], ['y']), makeNode('Relu', ['x'], ['z'])], {
        outputs: [value('y'), value('z')],
      }),
    ],
    [
      'a softmax that more is computed from',
      graphOf([makeNode('Softmax', ['x'], ['y']), makeNode('Log', ['y'], ['z'])]),
    ],
  ])('leaves %s alone', (_, graph) => {
    const model = modelOf(graph);
    const before = cloneModel(model);
    expect(cutFinalSoftmax(model)).toBe('y');
    expect(model).toEqual(before);
  });
});

describe('an edited copy', () => {
  it('leaves the original as it was', () => {
    const model = modelOf(graphOf([makeNode('Softmax', ['x'], ['y'])]));
    const copy = cloneModel(model);
    cutFinalSoftmax(copy);
    const renamed = cloneModel(model);
    replaceInput(renamed.graph, 'x', 'w');
    densify(model).graph.nodes[0]!.outputs.push('more');
    expect(model).toEqual(modelOf(graphOf([makeNode('Softmax', ['x'], ['y'])])));
    expect(renamed.graph.nodes[0]!.inputs).toEqual(['w']);
  });

  it('knows who makes a value and who reads it', () => {
    const [neg, add, mul] = [
      makeNode('Neg', ['x'], ['a']),
      makeNode('Add', ['a', 'a'], ['y']),
      makeNode('Mul', ['x', 'a'], ['b']),
    ];
    const graph = graphOf([neg, add, mul]);
    expect(producerOf(graph, 'a')).toBe(neg);
    expect(producerOf(graph, 'x')).toBeUndefined();
    expect(consumersOf(graph, 'a')).toEqual([add, mul]);
  });
});
