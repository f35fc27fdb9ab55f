import { readFile } from 'node:fs/promises';
import { batches } from '@modelmill/data';
import type { Table } from '@modelmill/data';
import { readOnnx, writeOnnx } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import type { Lesson } from './examples.js';
import { giveFeatures } from './hidden-features.js';
import type { HiddenFeature } from './hidden-features.js';
import type { TrainingPlan } from './training-plan.js';

const chunk = 256;

/** What a teacher makes of a lesson. */
export interface Teaching {
  /** [size, classes]. */
  readonly logits: Float32Array;
  /** Its hidden values, one per feature. */
  readonly features: readonly TypedTensor[];
}

export interface Teacher extends AsyncDisposable {
  teach(lesson: Lesson): Promise<Teaching>;
}

export interface TeacherOptions {
  readonly table: Table;
  /** The training part. */
  readonly rows: Uint32Array;
  readonly features: readonly HiddenFeature[];
  /** Where the student's steps are computed. */
  readonly provider: TrainingPlan['provider'];
  readonly threads: number;
}

/**
 * Opens a teacher. The logits of the training part are computed once; hidden values, which may be large, with each lesson.
 */
export async function openTeacher(path: string, options: TeacherOptions): Promise<Teacher> {
  const { table, rows, features, provider, threads } = options;
  const model = readOnnx(await readFile(path));
  const output = giveFeatures(model, features);
  const session = await openSession(writeOnnx(model), {
    // a job of the processor gives the same bits on every machine, on one with CUDA, too
    providers: provider === 'cuda' ? ['cuda', 'cpu'] : ['cpu'],
    flushDenormals: true,
    ...(threads === 0 ? {} : { threads }),
  });
  const [input] = session.inputs;
  const name = input?.name ?? '';
  const exampleShape = input?.shape.slice(1).every((size) => size > 0) ? input.shape.slice(1) : table.featureShape;
  const classes = table.classes?.length ?? 0;
  const hidden = features.map(({ teacher }) => teacher);

  if (features.length > 0) {
    return {
      async teach({ features: { data }, size }) {
        const x = { dims: [size, ...exampleShape], data };
        const answers = await session.run({ [name]: x }, [...new Set([output, ...hidden])]);
        return { logits: answers[output]?.data as Float32Array, features: hidden.map((value) => answers[value]!) };
      },
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  }
  await using _session = session;
  const logits = new Float32Array(table.rows * classes);
  const order = { batchSize: chunk, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
  for (const batch of batches(table, rows, order)) {
    const x = { dims: [batch.size, ...exampleShape], data: batch.features };
    const answers = await session.run({ [name]: x }, [output]);
    const given = answers[output]?.data as Float32Array;
    batch.rows.forEach((row, i) => logits.set(given.subarray(i * classes, (i + 1) * classes), row * classes));
  }
  return {
    async teach({ rows: some = new Uint32Array() }) {
      const own = new Float32Array(some.length * classes);
      some.forEach((row, i) => own.set(logits.subarray(row * classes, (row + 1) * classes), i * classes));
      return { logits: own, features: [] };
    },
    async [Symbol.asyncDispose]() {},
  };
}
