import { emptyGraph, makeNode, readOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { doubling } from './models-for-tests.js';
import { openStatefulSession } from './stateful-session.js';

/** total' = total + x; twice = 2 · total'. */
function adding(): Model {
  const graph = emptyGraph('adding');
  const value = (name: string) => ({ name, dataType: 'float' as const, shape: [2] });
  graph.inputs = [value('x'), value('total')];
  graph.outputs = [value('next'), value('twice')];
  graph.nodes = [makeNode('Add', ['total', 'x'], ['next']), makeNode('Add', ['next', 'next'], ['twice'])];
  const opsets = new Map([['', 18]]);
  return { irVersion: 8, opsets, producer: '', metadata: new Map(), graph, functions: [] };
}

/** total' = total − total. */
function forgetful(shape = [2]): Model {
  const graph = emptyGraph('forgetful');
  const value = (name: string) => ({ name, dataType: 'float' as const, shape });
  graph.inputs = [value('total')];
  graph.outputs = [value('none')];
  graph.nodes = [makeNode('Sub', ['total', 'total'], ['none'])];
  const opsets = new Map([['', 18]]);
  return { irVersion: 8, opsets, producer: '', metadata: new Map(), graph, functions: [] };
}

const pairs = [{ input: 'total', output: 'next' }];
const pair = (a: number, b: number) => ({ dims: [2], data: Float32Array.of(a, b) });
const open = () => openStatefulSession(adding(), pairs, { providers: ['cpu'] });

describe('a stateful session', () => {
  it('begins each run with what the last one that was followed left', async () => {
    await using session = await open();
    session.setState({ total: pair(1, 2) });
    expect(Object.keys(await session.run({ x: pair(1, 1) }))).toEqual(['twice']);
    session.advance();
    expect((await session.run({ x: pair(10, 10) }))['twice']?.data).toEqual(Float32Array.of(24, 26));
    expect((await session.state())['total']?.data).toEqual(Float32Array.of(2, 3));
    expect((await session.run({ x: pair(0, 0) }))['twice']?.data).toEqual(Float32Array.of(4, 6));
    session.setState({ total: pair(0, 0) });
    expect(() => session.advance()).toThrow('advance comes after a run');
    expect((await session.run({ x: pair(0, 1) }))['twice']?.data).toEqual(Float32Array.of(0, 2));
  });

  it('lets two models work on one state, each on its part of it', async () => {
    const other = { model: forgetful(), pairs: [{ input: 'total', output: 'none' }] };
    await using session = await openStatefulSession(adding(), pairs, { providers: ['cpu'], other });
    session.setState({ total: pair(1, 2) });
    expect(await session.run({ x: pair(7, 7) }, 'other')).toEqual({});
    session.advance();
    await session.run({ x: pair(1, 2) });
    session.advance();
    expect((await session.state())['total']?.data).toEqual(Float32Array.of(1, 2));
    await using alone = await open();
    alone.setState({ total: pair(1, 2) });
    await expect(alone.run({ x: pair(7, 7) }, 'other')).rejects.toThrow('wants one to be opened with the session');
  });

  it('neither keeps nor changes the state that it was given or has told', async () => {
    await using session = await open();
    const given = pair(1, 2);
    session.setState({ total: given });
    const told = [await session.state()];
    for (let step = 0; step < 3; step++) {
      await session.run({ x: pair(1, 1) });
      session.advance();
      told.push(await session.state());
    }
    expect(given).toEqual(pair(1, 2));
    expect(told.map(({ total }) => total?.data)).toEqual([1, 2, 3, 4].map((a) => Float32Array.of(a, a + 1)));
    told[3]?.['total']?.data.fill(0 as never);
    expect((await session.run({ x: pair(0, 0) }))['twice']?.data).toEqual(Float32Array.of(8, 10));
  });

  it('takes what the model says where an output is an input, or an operator set is old', async () => {
    const graph = emptyGraph('passing');
    const value = (name: string) => ({ name, dataType: 'float' as const, shape: [2] });
    graph.inputs = [value('x'), value('total')];
    graph.outputs = [value('total'), value('x'), value('sum')];
    graph.nodes = [makeNode('Add', ['x', 'total'], ['sum'])];
    const opsets = new Map([['', 9]]);
    const model: Model = { irVersion: 4, opsets, producer: '', metadata: new Map(), graph, functions: [] };
    await using session = await openStatefulSession(model, [{ input: 'total', output: 'total' }], {
      providers: ['cpu'],
    });
    session.setState({ total: pair(5, 6) });
    for (let step = 0; step < 3; step++) {
      const { x, sum } = await session.run({ x: pair(3, 4) });
      expect([x?.data, sum?.data]).toEqual([Float32Array.of(3, 4), Float32Array.of(8, 10)]);
      session.advance();
    }
    expect((await session.state())['total']?.data).toEqual(Float32Array.of(5, 6));
  });

  it('goes on from its state after a run that failed, one not followed, or a state set in between', async () => {
    await using session = await open();
    session.setState({ total: pair(1, 2) });
    await expect(session.run({ x: { dims: [3], data: new Float32Array(3) } })).rejects.toThrow();
    await session.run({ x: pair(9, 9) });
    await session.run({ x: pair(1, 1) });
    session.advance();
    expect((await session.state())['total']?.data).toEqual(Float32Array.of(2, 3));
    await session.run({ x: pair(9, 9) });
    session.setState({ total: pair(4, 4) });
    await session.run({ x: pair(1, 1) });
    session.advance();
    expect((await session.state())['total']?.data).toEqual(Float32Array.of(5, 5));
  });

  it('leaves no state to the garbage collector', async () => {
    const count = 1_000_000;
    const of = [{ input: 'total', output: 'none' }];
    await using session = await openStatefulSession(forgetful([count]), of, { providers: ['cpu'] });
    session.setState({ total: { dims: [count], data: new Float32Array(count) } });
    const before = process.memoryUsage().external;
    for (let step = 0; step < 4; step++) {
      await session.run({});
      session.advance();
    }
    expect(process.memoryUsage().external - before).toBeLessThan(4 * count);
  });

  it('names the state that is missing or of another shape', async () => {
    await using session = await open();
    expect(() => session.setState({})).toThrow("state 'total' is missing, wants [2]");
    const three = { dims: [3], data: new Float32Array(3) };
    expect(() => session.setState({ total: three })).toThrow("state 'total' is [3], wants [2]");
    const opening = openStatefulSession(readOnnx(doubling()), [{ input: 'z', output: 'y' }], { providers: ['cpu'] });
    await expect(opening).rejects.toThrow("state 'z' is no input of the model");
  });
});
