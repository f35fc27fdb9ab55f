import { attribute, emptyGraph, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import { serve } from './identity-models.js';
import { listen } from './jobs.js';
import { childrenOf, residentBytes } from './processes.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(480_000);

/** y [n, 4] is `value` wherever x [n, 4] is, and carries so many bytes of weights. */
function constant(value: number, weightBytes = 16): Uint8Array {
  const graph = emptyGraph('constant');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 4] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n', 4] }];
  const columns = weightBytes / 16;
  graph.initializers.set('w', floatTensor('w', [4, columns], new Float32Array(4 * columns)));
  graph.initializers.set('axes', int64Tensor('axes', [1], [1]));
  graph.initializers.set('v', floatTensor('v', [1], [value]));
  graph.nodes = [
    makeNode('MatMul', ['x', 'w'], ['product']),
    makeNode('ReduceSum', ['product', 'axes'], ['sum'], { keepdims: attribute(1) }),
    makeNode('Mul', ['x', 'sum'], ['zeros']),
    makeNode('Add', ['zeros', 'v'], ['y']),
  ];
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  });
}

const ask = async ({ mill }: Mesh, model: string, rows: number) => {
  const data = Array.from({ length: 4 * rows }, () => 1);
  const { outputs } = await mill.inference.infer({
    model,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [rows, 4], data }],
  });
  return new Set(outputs[0]!.data as Float32Array);
};

it('with 50 models loaded, one that changes version 20 times under load fails no request and mixes no answer', async () => {
  await using mesh = await startMesh({ MILL_RUNNERS: '2' });
  const others = Array.from({ length: 49 }, (_, i) => `other${i}`);
  for (const [i, model] of others.entries()) await serve(mesh, model, constant(-1 - i));
  await serve(mesh, 'changing', constant(1));
  await using events = await listen(mesh.natsUrl);

  let over = false;
  let asked = 0;
  const seen: number[] = [];
  const wrong: unknown[] = [];
  const caller = async (which: number) => {
    for (let i = which; !over; i++) {
      const other = i % 4 === 0;
      const model = other ? others[i % others.length]! : 'changing';
      try {
        const values = await ask(mesh, model, 1 + (i % 5));
        asked++;
        if (values.size !== 1) wrong.push(['mixed', [...values]]);
        const [value] = values;
        if (!other) seen.push(value!);
        else if (value !== -1 - (i % others.length)) wrong.push([model, value]);
      } catch (error) {
        wrong.push(error);
      }
    }
  };
  const callers = Array.from({ length: 16 }, (_, which) => caller(which));
  for (let turn = 2; turn <= 21; turn++) {
    const { version } = await mesh.mill.registry.uploadVersion({ model: 'changing', content: constant(turn) });
    await events.heard(new RegExp(`model\\.changing\\.${version}\\.admitted$`));
    await mesh.mill.registry.setLabel('changing', { name: 'stable', targets: [{ version, weight: 1 }] });
    await events.heard(new RegExp(`model\\.changing\\.${version}\\.ready$`));
  }
  expect([...(await ask(mesh, 'changing', 1))]).toEqual([21]);
  over = true;
  await Promise.all(callers);

  expect(wrong).toEqual([]);
  expect(asked).toBeGreaterThan(500);
  expect(new Set(seen).size).toBeGreaterThan(15);
});

it('memory comes back after a model of 25 MB was loaded and unloaded 100 times', async () => {
  await using mesh = await startMesh({ MILL_RUNNERS: '2' });
  await serve(mesh, 'large', constant(1, 25e6));
  const { inference } = mesh.mill;
  const { pid } = mesh.service('inference');
  const held = () => [pid, ...childrenOf(pid)].map(residentBytes).reduce((sum, bytes) => sum + bytes, 0);
  /** The most that was held at the end of a turn. */
  const turns = async (count: number) => {
    let most = 0;
    for (let i = 0; i < count; i++) {
      await inference.unloadModel('large');
      await inference.loadModel('large');
      await ask(mesh, 'large', 1);
      most = Math.max(most, held());
    }
    return most;
  };
  await turns(10);
  // an allocator keeps more or less of what was freed, by chance: one value alone says little
  const before = await turns(40);
  await turns(90);
  // what an allocator keeps by chance goes again; what is lost does not
  let after = Infinity;
  for (let tries = 0; tries < 3 && after > 1.1 * before; tries++) after = Math.min(after, await turns(10));
  expect({ before, after, grew: after > 1.1 * before }).toMatchObject({ grew: false });
});
