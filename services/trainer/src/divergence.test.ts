import { emptyGraph, makeNode } from '@modelmill/onnx';
import { openStatefulSession } from '@modelmill/runtime';
import { whereItBegan } from './divergence.js';
import type { Tensors } from './divergence.js';

const scalar = (value: number) => ({ dims: [1], data: Float32Array.of(value) });
const infinite = Number.POSITIVE_INFINITY;

/** weight' = weight · factor; loss = weight + offset. */
function growing() {
  const graph = emptyGraph('growing');
  const value = (name: string) => ({ name, dataType: 'float' as const, shape: [1] });
  graph.inputs = ['weight', 'factor', 'offset'].map(value);
  graph.outputs = ['next', 'loss'].map(value);
  graph.nodes = [
    makeNode('Add', ['weight', 'offset'], ['loss'], {}, 'the sum'),
    makeNode('Mul', ['weight', 'factor'], ['next'], {}, 'the update'),
  ];
  return { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

/** A training of such steps that stands at `done` steps, by factors and offsets; before a step the weight may be set. */
async function began(
  done: number,
  factors: readonly number[],
  offsets: readonly number[] = [],
  set: ReadonlyMap<number, number> = new Map(),
) {
  const model = growing();
  const pairs = [{ input: 'weight', output: 'next' }];
  await using session = await openStatefulSession(model, pairs, { providers: ['cpu'] });
  const good = { step: 1, state: { weight: scalar(1e20) } };
  const feedsAt = async (step: number) => ({ factor: scalar(factors[step] ?? 1), offset: scalar(offsets[step] ?? 0) });
  const stateAt = (step: number, state: Tensors) => (set.has(step) ? { weight: scalar(set.get(step)!) } : state);
  session.setState(good.state);
  for (let step = 1; step < done; step++) {
    session.setState(stateAt(step, await session.state()));
    await session.run(await feedsAt(step));
    session.advance();
  }
  return await whereItBegan(session, { model, good, feedsAt, formAt: () => 'model', stateAt }, done);
}

describe('where numbers ceased to be numbers', () => {
  it('is a node of the step itself while the weights are numbers', async () =>
    expect(await began(3, [], [0, 0, 0, 3e38])).toBe(undefined)); // 1e20 + 3e38 is one

  it('is an earlier update that overflowed, found by going there again', async () =>
    expect(await began(4, [1, 1, 1e30])).toBe("'next', made by node 'the update' (Mul), in step 3"));

  it('is found past a step before which the weights were pruned', async () =>
    expect(await began(5, [1, 1, 1e30, 1e20], [], new Map([[2, 1e5]]))).toBe(
      "'next', made by node 'the update' (Mul), in step 4",
    )); // 1e20 · 1e30 would be none in step 3

  it('is an input where what was fed is none', async () =>
    expect(await began(2, [], [0, 0, infinite])).toBe("input 'offset'"));
});
