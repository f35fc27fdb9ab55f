import { expandFunctions } from './expand-functions.js';
import { functionDef, graph as graphBytes, graphAttribute, message, model, node, value } from './bytes-for-tests.js';
import { subgraphsOf } from './edit.js';
import { readOnnx } from './read-onnx.js';

const call = (opType: string, inputs: string[], outputs: string[], attributes: Uint8Array[] = [], name = opType) =>
  node(opType, inputs, outputs, { name, domain: 'local', attributes });
const reference = (name: string, of: string) => message([1, name], [21, of], [20, 2]);
const whole = (name: string, number: number) => message([1, name], [3, number], [20, 2]);
const plain = (nodes: ReturnType<typeof expandFunctions>['graph']['nodes']) =>
  nodes.map(({ opType, inputs, outputs }) => `${opType}(${inputs.join()}) ${outputs.join()}`);

describe('functions written out', () => {
  const opsets: [string, number][] = [
    ['', 18],
    ['local', 1],
  ];
  const twice = functionDef(
    'Twice',
    [call('Once', ['x'], ['h'], [], 'a'), call('Once', ['h'], ['y'], [], 'b')],
    'local',
  );
  const once = functionDef('Once', [node('Neg', ['x'], ['h']), node('Abs', ['h'], ['y'])], 'local');

  it('become nodes with names of their own, within functions too', () => {
    const before = readOnnx(
      model({
        opsets,
        functions: [twice, once],
        nodes: [call('Twice', ['x'], ['Twice/h'], [], ''), call('Once', ['Twice/h'], ['y'], [], 'last')],
      }),
    );
    const after = expandFunctions(before);
    expect(plain(after.graph.nodes)).toEqual([
      'Neg(x) Twice/h/a/h',
      'Abs(Twice/h/a/h) Twice/h/h',
      'Neg(Twice/h/h) Twice/h/b/h',
      'Abs(Twice/h/b/h) Twice/h',
      'Neg(Twice/h) last/h',
      'Abs(last/h) y',
    ]);
    expect(after.functions).toEqual([]);
    expect([...after.opsets]).toEqual([['', 18]]);
    expect(before.graph.nodes).toHaveLength(2);
  });

  it('take attributes from the call, else their own, else the operator has none', () => {
    const made = message(
      [1, 'Soft'],
      [4, 'x'],
      [5, 'y'],
      [7, node('Softmax', ['x'], ['h'], { attributes: [reference('axis', 'axis')] })],
      [7, node('Flatten', ['h'], ['y'], { attributes: [reference('axis', 'start')] })],
      [6, 'start'],
      [10, 'local'],
      [11, whole('axis', 1)],
    );
    const nodes = [call('Soft', ['x'], ['h'], [whole('axis', 0), whole('start', 2)]), call('Soft', ['h'], ['y'])];
    const { graph } = expandFunctions(readOnnx(model({ opsets, functions: [made], nodes })));
    expect(graph.nodes.map(({ attributes }) => attributes.get('axis'))).toEqual([
      { kind: 'int', value: 0 },
      { kind: 'int', value: 2 },
      { kind: 'int', value: 1 },
      undefined,
    ]);
  });

  it('leave out inputs that the call leaves out, and outputs that nobody wants', () => {
    const made = message(
      [1, 'Two'],
      ...['x', 'low', 'high'].map((name) => [4, name] as const),
      ...['y', 'same'].map((name) => [5, name] as const),
      [7, node('Clip', ['x', 'low', 'high'], ['y'])],
      [7, node('Abs', ['y'], ['same'])],
      [10, 'local'],
    );
    const nodes = [call('Two', ['x', '', 'x'], ['h']), call('Two', ['h'], ['y'])];
    const { graph } = expandFunctions(readOnnx(model({ opsets, functions: [made], nodes })));
    expect(plain(graph.nodes)).toEqual(['Clip(x,,x) h', 'Abs(h) Two/same', 'Clip(h) y', 'Abs(y) Two/same_1']);
  });

  it('hand an input on that is an output', () => {
    const made = message([1, 'Same'], [4, 'x'], [5, 'x'], [10, 'local']);
    const { graph } = expandFunctions(
      readOnnx(model({ opsets, functions: [made], nodes: [call('Same', ['x'], ['y'])] })),
    );
    expect(plain(graph.nodes)).toEqual(['Identity(x) y']);
  });

  it('are found in graphs inside nodes, and graphs inside them read their values', () => {
    const branch = graphBytes({
      nodes: [node('Neg', ['x'], ['of branch'])],
      inputs: [],
      outputs: [value('of branch', [])],
    });
    const inner = node('If', ['c'], ['y'], {
      attributes: [graphAttribute('then_branch', branch), graphAttribute('else_branch', branch)],
    });
    const made = message([1, 'Choice'], [4, 'c'], [4, 'x'], [5, 'y'], [7, inner], [10, 'local']);
    const { graph } = expandFunctions(
      readOnnx(model({ opsets, functions: [made], nodes: [call('Choice', ['x', 'x'], ['y'])] })),
    );
    const [first, second] = subgraphsOf(graph.nodes[0]!);
    expect(plain(first!.nodes)).toEqual(['Neg(x) Choice/of branch']);
    expect(plain(second!.nodes)).toEqual(['Neg(x) Choice/of branch_1']);
    expect(second!.outputs[0]!.name).toBe('Choice/of branch_1');
  });

  it('are refused where one calls itself, or says something else in its operator set', () => {
    const endless = functionDef('Endless', [call('Endless', ['x'], ['y'])], 'local');
    const file = (functions: Uint8Array[], opType: string) =>
      readOnnx(model({ opsets, functions, nodes: [call(opType, ['x'], ['y'])] }));
    expect(() => expandFunctions(file([endless], 'Endless'))).toThrow("function 'Endless' calls itself");
    const old = message(
      [1, 'Old'],
      [4, 'x'],
      [5, 'y'],
      [7, node('Softmax', ['x'], ['y'])],
      [9, message([2, 12])],
      [10, 'local'],
    );
    expect(() => expandFunctions(file([old], 'Old'))).toThrow(
      /function 'Old' is written in operator set 12, the model in 18/,
    );
  });
});
