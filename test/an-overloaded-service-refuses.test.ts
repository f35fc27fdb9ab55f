import { MillError } from '@modelmill/client';
import { emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import { serve } from './identity-models.js';
import { residentBytes } from './processes.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

const width = 4096;
const deadlineMs = 1000;
const floods = 4;
const calls = 500;
const perSecond = 250;

/** How often a row is made narrow and wide again: some tens of milliseconds, so that no machine answers all that is asked. */
const turns = 900;

/** y [1, 64] of x [1, 4096]. */
function slow(): Uint8Array {
  const graph = emptyGraph('slow');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [1, width] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: [1, 64] }];
  graph.initializers.set('narrow', floatTensor('narrow', [width, 64], new Float32Array(width * 64).fill(1e-3)));
  graph.initializers.set('wide', floatTensor('wide', [64, width], new Float32Array(64 * width).fill(1e-3)));
  for (let i = 0; i < turns; i++) {
    graph.nodes.push(makeNode('MatMul', [i ? `wide${i}` : 'x', 'narrow'], [`narrow${i}`]));
    graph.nodes.push(makeNode('MatMul', [`narrow${i}`, 'wide'], [`wide${i + 1}`]));
  }
  graph.nodes.push(makeNode('MatMul', [`wide${turns}`, 'narrow'], ['y']));
  return writeOnnx({
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  });
}

describe('an overloaded service', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh({ MILL_RUNNERS: '2' });
    await serve(mesh, 'slow', slow());
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it('refuses what it cannot answer in time, runs nothing for nobody, and keeps its memory', async () => {
    const { mill } = mesh;
    const input = { name: 'x', datatype: 'FP32', shape: [1, width], data: new Float32Array(width) } as const;
    const ask = () =>
      mill.inference.infer({ model: 'slow', inputs: [input] }, { deadlineMs }).then(
        () => 'OK',
        (error: unknown) => {
          if (error instanceof MillError) return error.codeName;
          throw error;
        },
      );
    const { pid } = mesh.service('inference');
    const outcomes = new Map<string, number>();
    const resident: number[] = [];
    for (let round = 0; round < floods; round++) {
      const asked: Promise<string>[] = [];
      for (const begun = performance.now(); asked.length < calls;) {
        asked.push(ask());
        const early = (asked.length / perSecond) * 1000 - (performance.now() - begun);
        if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      }
      for (const outcome of await Promise.all(asked)) {
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      resident.push(residentBytes(pid));
    }

    const {
      OK: answered = 0,
      RESOURCE_EXHAUSTED: refused = 0,
      DEADLINE_EXCEEDED: late = 0,
      ...others
    } = Object.fromEntries(outcomes);
    expect(others).toEqual({});
    expect(answered).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(floods * calls * 0.25);
    const [statistics] = await mill.inference.modelStatistics('slow');
    const ran = Number(statistics!.inferenceCount);
    expect(ran).toBeGreaterThanOrEqual(answered);
    expect(ran).toBeLessThanOrEqual(answered + late);
    expect(Math.max(...resident) - resident[0]!).toBeLessThan(64 * 2 ** 20);
    process.stderr.write(JSON.stringify({ answered, refused, late, ran, resident }) + '\n');
  });
});
