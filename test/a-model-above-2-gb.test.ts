import { readFileSync } from 'node:fs';
import { emptyGraph, floatTensor, makeNode, splitOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { parseOptimizationSpec } from '@modelmill/client';
import { registry } from '@modelmill/contracts';
import { uploadDigits } from './digits.js';
import { succeeded } from './jobs.js';
import { startMesh } from './start-mesh.js';
import type { Mesh } from './start-mesh.js';

jest.setTimeout(1_800_000);

const whenAsked = process.env['MILL_TEST_FIGURES'] ? it : it.skip;

const states = registry.VersionState;

const [width, layers] = [4_096, 34];
/** A runner and a pass hold a model of this size and what it computes into. */
const memory = String(10 * 1024 ** 3);

/** 64 → 34 layers of 4,096 → 10: 2.28 GB. Layers look at one pool of numbers from different places, so that it takes 68 MB here. */
function largeModel(): Model {
  const graph = emptyGraph('above-2-gb');
  const pool = new Float32Array(width * width + layers * 1_000);
  let state = 1;
  for (let i = 0; i < pool.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    pool[i] = (state / 2 ** 31) * Math.sqrt(6 / width); // as He has it for Relu: no layer's values grow or vanish
  }
  const weights = (name: string, dims: readonly number[], from: number) => {
    const count = dims.reduce((a, b) => a * b, 1);
    graph.initializers.set(name, floatTensor(name, dims, pool.subarray(from, from + count)));
    return name;
  };
  const sizes = [64, ...Array.from({ length: layers + 1 }, () => width), 10];
  graph.inputs = [{ name: 'input', dataType: 'float', shape: ['n', 64] }];
  graph.nodes = sizes.slice(1).flatMap((to, i) => {
    const [taken, last] = [i === 0 ? 'input' : `hidden${i}`, i === sizes.length - 2];
    return [
      makeNode(
        'MatMul',
        [taken, weights(`w${i}`, [sizes[i]!, to], (i % layers) * 1_000)],
        [`product${i}`],
        {},
        `mat${i}`,
      ),
      makeNode('Add', [`product${i}`, weights(`b${i}`, [to], i)], [last ? 'scores' : `sum${i}`]),
      ...(last ? [] : [makeNode('Relu', [`sum${i}`], [`hidden${i + 1}`])]),
    ];
  });
  graph.nodes.push(makeNode('Softmax', ['scores'], ['probabilities']));
  graph.outputs = [{ name: 'probabilities', dataType: 'float', shape: ['n', 10] }];
  return { irVersion: 9, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

describe('a model of 2.28 GB (needs MILL_TEST_FIGURES)', () => {
  let mesh: Mesh | undefined;
  afterAll(() => mesh?.[Symbol.asyncDispose]());

  whenAsked(
    'is uploaded, admitted, goes through the passes, written as two files where it stays so large, and answers',
    async () => {
      const split = splitOnnx(largeModel(), 1_000_000_000)!;
      const file = Buffer.concat([...split.file('model.onnx.data')]);
      let bytes = 0;
      for (const piece of split.data()) bytes += piece.length;
      expect(bytes).toBeGreaterThan(2 ** 31);
      mesh = await startMesh({
        MILL_MAX_UPLOAD_BYTES: String(4e9),
        MILL_PROBATION_MS: '300000',
        MILL_RUNNER_MEMORY_BYTES: memory,
        MILL_PASS_MEMORY_BYTES: memory,
      });
      const { mill } = mesh;
      await uploadDigits(mill);
      const at = stopwatch();
      const { registry: versions, optimizer } = mill;
      await versions.uploadVersion({
        model: 'large',
        content: (async function* () {
          yield file;
          yield* split.data();
        })(),
        onnxBytes: file.length,
        externalData: [{ location: 'model.onnx.data', bytes }],
      });
      at('uploaded');
      await admitted('1');
      at('admitted');
      for (const [kind, pass, share] of [
        ['simplified', { simplify: {} }, 1],
        ['in 4 bits', { quantize_weights: {} }, 0.17],
        ['in 16 bits', { store_halves: {} }, 0.51],
        ['in 8 bits', { quantize_dynamic: {} }, 0.26],
      ] as const) {
        const { status } = await optimizer.submit(
          parseOptimizationSpec({
            model: 'large',
            version: '1',
            data: { dataset: 'digits' },
            passes: [pass],
            max_accuracy_drop: 1,
          }),
        );
        const { version } = await succeeded(optimizer.watch(status!.jobId));
        at(`${kind} (version ${version})`);
        const made = await versions.getVersion('large', version);
        expect(Number(made.sizeBytes) / bytes).toBeLessThan(share + 0.005);
        expect(made.externalData !== undefined).toBe(share === 1);
      }
      const body = JSON.stringify({
        inputs: [
          { name: 'input', datatype: 'FP32', shape: [1, 64], data: Array.from({ length: 64 }, (_, i) => i % 17) },
        ],
      });
      for (const version of ['1', '2', '3']) {
        await versions.setLabel('large', { name: 'stable', targets: [{ version, weight: 1 }] });
        expect(await answer(`/v2/models/large/versions/${version}/infer`, body)).toHaveLength(10);
        at(`version ${version} has answered`);
      }
    },
  );

  async function admitted(version: string): Promise<void> {
    for (;;) {
      const { state, rejectionReason } = await mesh!.mill.registry.getVersion('large', version);
      if (state === states.VERSION_STATE_ADMITTED) return;
      if (state === states.VERSION_STATE_REJECTED) throw new Error(rejectionReason);
      await new Promise((done) => setTimeout(done, 500));
    }
  }

  /** When it is loaded. */
  async function answer(path: string, body: string): Promise<number[]> {
    for (;;) {
      const response = await mesh!.fetch(path, { method: 'POST', body });
      const answered = (await response.json()) as { outputs?: { data: number[] }[] };
      if (answered.outputs) return answered.outputs[0]!.data;
      if (response.status !== 503) throw new Error(`${response.status} ${JSON.stringify(answered)}`);
      await new Promise((done) => setTimeout(done, 500));
    }
  }
});

/** Seconds since the last look, and the most memory this process held. */
function stopwatch(): (what: string) => void {
  let last = performance.now();
  return (what) => {
    const now = performance.now();
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
    process.stderr.write(
      `${what}: ${((now - last) / 1000).toFixed(1)} s; this process ${(Number(peak) / 1024).toFixed(0)} MiB\n`,
    );
    last = now;
  };
}
