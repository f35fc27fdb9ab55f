import { emptyGraph, makeNode, readOnnx, writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openScannedSession } from './scanned-session.js';
import { openStatefulSession } from './stateful-session.js';

/** total' = total + scaled, which is x · rate where rate is above the least x, and else −x, by graphs within the graph. */
function adding(): Model {
  const graph = emptyGraph('adding');
  const value = (name: string, shape: number[]) => ({ name, dataType: 'float' as const, shape });
  graph.inputs = [value('x', [2]), value('rate', []), value('total', [2])];
  graph.outputs = [value('next', [2]), value('twice', [2]), value('scaled', [2])];
  const branch = (name: string, factor: string[]) => ({
    ...emptyGraph(name),
    nodes: [makeNode(factor.length > 1 ? 'Mul' : 'Neg', ['x', ...factor.slice(1)], [name])],
    outputs: [value(name, [2])],
  });
  graph.nodes = [
    makeNode('ReduceMin', ['x'], ['least'], { keepdims: { kind: 'int', value: 0 } }),
    makeNode('Greater', ['rate', 'least'], ['is_less']),
    makeNode('If', ['is_less'], ['scaled'], {
      then_branch: { kind: 'graph', value: branch('times_rate', ['x', 'rate']) },
      else_branch: { kind: 'graph', value: branch('negated', ['x']) },
    }),
    makeNode('Add', ['total', 'scaled'], ['next']),
    makeNode('Add', ['next', 'next'], ['twice']),
  ];
  const model = { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
  return readOnnx(writeOnnx(model));
}

const pairs = [{ input: 'total', output: 'next' }];
const feeds = [
  [1, 2, 0.5],
  [3, -1, 2],
  [8, 9, 7],
  [0.25, 4, 3],
] as const;
const feedsOf = (run: number) => {
  const [a, b, rate] = feeds[run]!;
  return { x: { dims: [2], data: Float32Array.of(a, b) }, rate: { dims: [], data: Float32Array.of(rate) } };
};
const zero = { total: { dims: [2], data: new Float32Array(2) } };

describe('a scanned session', () => {
  it('gives in one run what a stateful session gives run by run, and leaves the same state', async () => {
    await using scanned = await openScannedSession(adding(), pairs, { told: ['twice'], providers: ['cpu'] });
    await using single = await openStatefulSession(adding(), pairs, { providers: ['cpu'] });
    for (const session of [scanned, single]) session.setState(zero);
    const told = await scanned.runEach(3, (run) => Promise.resolve(feedsOf(run)));
    expect((await scanned.state())['total']).toMatchObject({ dims: [2], data: new Float32Array(2) }); // until advance
    scanned.advance();
    for (const [run, each] of told.entries()) {
      const { twice } = await single.run(feedsOf(run));
      expect(each).toEqual({ twice });
      single.advance();
    }
    expect(await scanned.state()).toEqual(await single.state());
    const { twice } = await scanned.run(feedsOf(3));
    expect(twice).toEqual((await single.run(feedsOf(3)))['twice']);
  });

  it('takes feeds that come in the same memory', async () => {
    await using scanned = await openScannedSession(adding(), pairs, { told: ['scaled'], providers: ['cpu'] });
    scanned.setState(zero);
    const x = { dims: [2], data: new Float32Array(2) };
    const told = await scanned.runEach(2, (run) => {
      x.data.fill(run + 1);
      return Promise.resolve({ x, rate: { dims: [], data: Float32Array.of(10) }, unknown: x });
    });
    expect(told.map(({ scaled }) => [...(scaled!.data as Float32Array)])).toEqual([
      [10, 10],
      [20, 20],
    ]);
  });

  it('names an output that the model does not have', async () => {
    await expect(openScannedSession(adding(), pairs, { told: ['loss'] })).rejects.toThrow(
      "'loss' is no input or output",
    );
  });
});
