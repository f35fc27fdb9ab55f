import { batches } from '@modelmill/data';
import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import { evaluateClasses, evaluateNumbers } from './evaluate.js';
import type { PreparedTraining } from './prepared-training.js';

const chunk = 256;

/** Measures weights on held-out rows with the graph that will be served. */
export interface Evaluator extends AsyncDisposable {
  figures(state: Readonly<Record<string, TypedTensor>>, rows: Uint32Array): Promise<Record<string, number>>;
}

export async function openEvaluator(prepared: PreparedTraining, threads: number): Promise<Evaluator> {
  const { table, step, exampleShape, softmax } = prepared;
  const initial = new Map(step.state.map((tensor) => [tensor.input, tensor.initial]));
  const session = await openSession(prepared.served(initial, true), threads === 0 ? {} : { threads });
  const { features } = step.inputs;
  const fed = new Set(session.inputs.map(({ name }) => name));
  const [output = ''] = session.outputs.map(({ name }) => name);
  return {
    async figures(state, rows) {
      const weights = Object.fromEntries(Object.entries(state).filter(([name]) => fed.has(name)));
      const evaluation = softmax ? evaluateClasses(table.classes?.length ?? 0) : evaluateNumbers();
      const order = { batchSize: chunk, seed: 0n, epoch: 0, shuffle: false, dropLast: false };
      for (const batch of batches(table, rows, order)) {
        const x = { dims: [batch.size, ...exampleShape], data: batch.features };
        const answers = await session.run({ ...weights, [features]: x });
        evaluation.add(answers[output]?.data as Float32Array, batch.targets, batch.size);
      }
      return evaluation.figures();
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
