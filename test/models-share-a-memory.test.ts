import { attribute, emptyGraph, floatTensor, int64Tensor, makeNode, writeOnnx } from '@modelmill/onnx';
import { serve } from './identity-models.js';
import { listen } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(240_000);

const numbers = 2 ** 18;

/** y [n, 4] is `value` wherever x [n, 4] is 1, and carries 1 MiB of weights. */
function constant(value: number): Uint8Array {
  const graph = emptyGraph('constant');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 4] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n', 4] }];
  graph.initializers.set('w', floatTensor('w', [4, numbers / 4], new Float32Array(numbers)));
  graph.initializers.set('axes', int64Tensor('axes', [1], [1]));
  graph.initializers.set('v', floatTensor('v', [1], [value]));
  graph.nodes = [
    makeNode('MatMul', ['x', 'w'], ['product']),
    makeNode('ReduceSum', ['product', 'axes'], ['sum'], { keepdims: attribute(1) }),
    makeNode('Mul', ['x', 'sum'], ['zeros']),
    makeNode('Add', ['zeros', 'v'], ['y']),
  ];
  const opsets = new Map([['', 18]]);
  return writeOnnx({ irVersion: 8, opsets, producer: '', metadata: new Map(), graph, functions: [] });
}

async function ask({ mill }: Mesh, model: string): Promise<number> {
  const { outputs } = await mill.inference.infer({
    model,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 1, 1, 1] }],
  });
  return (outputs[0]!.data as Float32Array)[0]!;
}

const inMemory = async ({ mill }: Mesh) =>
  (await mill.inference.repositoryIndex())
    .filter(({ state, reason }) => state === 'READY' && reason === '')
    .map(({ name }) => name)
    .sort();

const models = Array.from({ length: 6 }, (_, i) => `m${i}`);
const budget = 2;

describe('a mesh that serves six models in the memory of two', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    // what a version of 1 MiB counts for, by docs/serving.md, in each of two runners, and a little for its graph
    const bytes = budget * 2 * (2 * (4 * numbers + 2_000) + 2 ** 20);
    mesh = await startMesh({ MILL_RUNNERS: '2', MILL_MODEL_MEMORY_BYTES: String(bytes), MILL_MAX_BATCH: '4' });
    for (const [i, model] of models.entries()) await serve(mesh, model, constant(i));
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('loses no request and mixes no answer while models come and go under load and a label moves', async () => {
    let over = false;
    let asked = 0;
    const wrong: unknown[] = [];
    const seen = new Set<number>();
    const callers = Array.from({ length: 8 }, async (_, which) => {
      for (let turn = which; !over; turn++) {
        // half of the requests want the one whose label moves, the rest each in turn
        const model = models[turn % 2 === 0 ? 0 : (which + 7 * turn) % models.length]!;
        try {
          const value = await ask(mesh, model);
          asked++;
          if (model === 'm0') seen.add(value);
          else if (value !== models.indexOf(model)) wrong.push([model, value]);
        } catch (error) {
          wrong.push([model, error]);
        }
      }
    });
    await using events = await listen(mesh.natsUrl);
    for (const value of [100, 101, 102]) {
      const { version } = await mesh.mill.registry.uploadVersion({ model: 'm0', content: constant(value) });
      await events.heard(new RegExp(`model\\.m0\\.${version}\\.admitted$`));
      await mesh.mill.registry.setLabel('m0', { name: 'stable', targets: [{ version, weight: 1 }] });
      await events.heard(new RegExp(`model\\.m0\\.${version}\\.ready$`));
      while (!seen.has(value)) await ask(mesh, 'm1');
    }
    while (asked < 300) await ask(mesh, 'm1');
    over = true;
    await Promise.all(callers);
    expect(wrong).toEqual([]);
    expect(await ask(mesh, 'm0')).toBe(102);
    expect((await inMemory(mesh)).length).toBeLessThanOrEqual(budget);
    expect(
      mesh
        .service('inference')
        .log()
        .match(/"model evicted"/g)!.length,
    ).toBeGreaterThan(30);
  });
});
