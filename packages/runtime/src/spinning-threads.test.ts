import { emptyGraph, makeNode, writeOnnx } from '@modelmill/onnx';
import { openSession } from './session.js';

const [side, runs, pause] = [160, 60, 10];

/** Processor time, in ms, of products that two threads share, and of the pauses between. */
async function processorTime(spinMicroseconds: number): Promise<number> {
  const graph = emptyGraph('product');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [side, side] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [side, side] }];
  graph.nodes = [makeNode('MatMul', ['x', 'x'], ['y'], {}, 'product')];
  const model = { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], threads: 2, spinMicroseconds });
  const feeds = { x: { dims: [side, side], data: new Float32Array(side * side).fill(0.1) } };
  const before = process.cpuUsage();
  for (let i = 0; i < runs; i++) {
    await session.run(feeds);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

it('a thread that has no work leaves the processor to others as soon as its session says', async () => {
  const [soon, late] = [await processorTime(50), await processorTime(20_000)];
  expect(soon).toBeLessThan(0.75 * late);
});
