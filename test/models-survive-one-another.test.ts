import { MillError } from '@modelmill/client';
import { emptyGraph, floatTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Graph } from '@modelmill/onnx';
import { identity, serve } from './identity-models.js';
import { childrenOf } from './processes.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(120_000);

const requestTimeoutMs = 8_000;
/** What users are promised is 500 ms; the rest is for machines that do other things, too. */
const soonMs = 2_500;

const file = (graph: Graph) =>
  writeOnnx({ irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] });

/** A square x, multiplied by itself 3000 times: at once where it is small, beyond any time where it is not. */
function hanging(): Uint8Array {
  const graph = emptyGraph('hanging');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: ['n', 'n'] }];
  graph.outputs = [{ name: 'v3000', dataType: 'float', shape: ['n', 'n'] }];
  graph.nodes = Array.from({ length: 3000 }, (_, i) => makeNode('MatMul', [i ? `v${i}` : 'x', 'x'], [`v${i + 1}`]));
  return file(graph);
}

/** As many zeros as x [1] says. */
function growing(): Uint8Array {
  const graph = emptyGraph('growing');
  graph.inputs = [{ name: 'x', dataType: 'float', shape: [1] }];
  graph.outputs = [{ name: 'y', dataType: 'float', shape: ['n'] }];
  graph.initializers.set('one', floatTensor('one', [1], [1]));
  graph.nodes = [
    makeNode('Cast', ['x'], ['size'], { to: { kind: 'int', value: 7 } }),
    makeNode('ConstantOfShape', ['size'], ['zeros']),
    makeNode('Add', ['zeros', 'one'], ['y']),
  ];
  return file(graph);
}

interface Fault {
  readonly model: string;
  readonly shape: readonly number[];
  readonly harmless: readonly number[];
  /** Resolves when the fault is over, with the code its caller got. */
  strike(mesh: Mesh): Promise<string>;
}

const ask = (mesh: Mesh, model: string, shape: readonly number[], data: readonly number[]) =>
  mesh.mill.inference.infer({ model, inputs: [{ name: 'x', datatype: 'FP32', shape: [...shape], data: [...data] }] });

const codeOf = (asked: Promise<unknown>) =>
  asked.then(
    () => 'OK',
    (error: unknown) => {
      if (error instanceof MillError) return error.codeName;
      throw error;
    },
  );

const faults: Readonly<Record<string, readonly [string, Fault]>> = {
  'is killed': [
    'OK',
    {
      model: 'same',
      shape: [1],
      harmless: [7],
      async strike(mesh) {
        process.kill(childrenOf(mesh.service('inference').pid)[0]!, 'SIGKILL');
        return codeOf(ask(mesh, 'same', [1], [7]));
      },
    },
  ],
  hangs: [
    'DEADLINE_EXCEEDED',
    {
      model: 'hanging',
      shape: [1, 1],
      harmless: [1],
      strike: (mesh) => codeOf(ask(mesh, 'hanging', [900, 900], new Array<number>(810_000).fill(0))),
    },
  ],
  'holds too much memory': [
    'RESOURCE_EXHAUSTED',
    { model: 'growing', shape: [1], harmless: [3], strike: (mesh) => codeOf(ask(mesh, 'growing', [1], [35e7])) },
  ],
  'wants too much memory': [
    'RESOURCE_EXHAUSTED',
    { model: 'growing', shape: [1], harmless: [3], strike: (mesh) => codeOf(ask(mesh, 'growing', [1], [4e9])) },
  ],
};

describe('where a runner', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await startMesh({
      MILL_RUNNERS: '2',
      MILL_REQUEST_TIMEOUT_MS: String(requestTimeoutMs),
      MILL_RUNNER_MEMORY_BYTES: String(2 ** 29),
    });
    await serve(mesh, 'same', identity('float'));
    await serve(mesh, 'other', identity('float'));
    await serve(mesh, 'hanging', hanging());
    await serve(mesh, 'growing', growing());
  });
  afterAll(() => mesh[Symbol.asyncDispose]());

  it.each(Object.entries(faults))(
    '%s, other models lose no request, and its own answers soon again',
    async (...row) => {
      const [, [wanted, { model, shape, harmless, strike }]] = row;
      let over = false;
      let answered = 0;
      const lost: unknown[] = [];
      const callers = Array.from({ length: 8 }, async () => {
        while (!over) {
          const code = await codeOf(ask(mesh, 'other', [2], [1, 2])).catch(String);
          if (code === 'OK') answered++;
          else lost.push(code);
        }
      });
      try {
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(await strike(mesh)).toBe(wanted);
        const ended = performance.now();
        expect(await codeOf(ask(mesh, model, shape, harmless))).toBe('OK');
        expect(performance.now() - ended).toBeLessThan(soonMs);
        await new Promise((resolve) => setTimeout(resolve, 1_000)); // until its successor is there, too
      } finally {
        over = true;
        await Promise.all(callers);
      }
      expect(lost).toEqual([]);
      expect(answered).toBeGreaterThan(100);
    },
  );
});
