import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inference } from '@modelmill/contracts';
import { writeOnnx } from '@modelmill/onnx';
import type { Dim, Model } from '@modelmill/onnx';
import { startRunnerPool } from '@modelmill/runtime';
import type { RunnerPool } from '@modelmill/runtime';
import { loadVersion } from './served-version.js';

type Step = [opType: string, inputs: string[], output: string];

/** From `x` to `y`. */
const model = (steps: Step[], shape: readonly Dim[], outputShape: readonly Dim[] = shape): Model => ({
  irVersion: 9,
  opsets: new Map([['', 18]]),
  producer: 'test',
  metadata: new Map(),
  functions: [],
  graph: {
    name: 'steps',
    nodes: steps.map(([opType, inputs, output]) => ({
      name: output,
      opType,
      domain: '',
      inputs,
      outputs: [output],
      attributes: new Map(),
    })),
    initializers: new Map(),
    sparseInitializers: new Map(),
    inputs: [{ name: 'x', dataType: 'float', shape }],
    outputs: [{ name: 'y', dataType: 'float', shape: outputShape }],
    valueInfo: [],
  },
});

const models = {
  'one that treats rows alone': [model([['Exp', ['x'], 'y']], ['n', 3]), true],
  'one of a fixed number of rows': [model([['Exp', ['x'], 'y']], [1, 3]), false],
  'one without an own row in its output': [model([['ReduceMax', ['x'], 'y']], ['n', 3], [1, 1]), false],
  // as a model does that quantizes its input by its largest value
  'one that scales all rows by the largest value': [
    model([['ReduceMax', ['x'], 'largest'], ['Div', ['x', 'largest'], 'y']], ['n', 3]), // prettier-ignore
    false,
  ],
} satisfies Record<string, [Model, boolean]>;

describe('a loaded version', () => {
  let directory: string;
  let pool: RunnerPool;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'served-version-'));
    pool = await startRunnerPool({ runners: 1 });
  });
  afterAll(async () => {
    await pool[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const limits = { maxBatch: 16, maxQueue: 100, maxQueueBytes: 1e6, maxWaitMs: 60_000, runners: 1 };
  async function load(of: Model) {
    const path = join(directory, 'model.onnx');
    await writeFile(path, writeOnnx(of));
    return loadVersion(pool, { model: 'm', version: '1', path }, limits, () => {});
  }

  it.each(Object.entries(models))('batches %s as it may', async (_, [of, batched]) => {
    const served = await load(of);
    expect([served.batched, served.maxBatch]).toEqual([batched, batched ? 16 : 0]);
    await served.unload();
  });

  it('answers what it has taken, then gives its memory back', async () => {
    const served = await load(models['one that treats rows alone'][0]);
    const request = inference.ModelInferRequest.fromJSON({
      inputs: [{ name: 'x', datatype: 'FP32', shape: ['1', '3'], contents: { fp32Contents: [0, 0, 0] } }],
    });
    const answer = served.infer(request);
    await served.unload();
    expect((await answer).rawOutputContents[0]!.readFloatLE(0)).toBe(1);
    expect([...pool.models().keys()]).toEqual([]);
    await expect(served.infer(request)).rejects.toThrow('Server is stopping');
    expect(served.statistics.snapshot().failures.get('REJECTED')).toBe(1);
  });
});
