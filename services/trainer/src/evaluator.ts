import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import { evaluateClasses, evaluateNumbers } from './evaluate.js';
import type { Part } from './examples.js';
import type { PreparedTraining } from './prepared-training.js';

/** Measures weights on held-out examples with the graph that will be served. */
export interface Evaluator extends AsyncDisposable {
  figures(state: Readonly<Record<string, TypedTensor>>, part: Part): Promise<Record<string, number>>;
}

export async function openEvaluator(prepared: PreparedTraining, threads: number): Promise<Evaluator> {
  const { examples, step, classes } = prepared;
  const initial = new Map(step.state.map((tensor) => [tensor.input, tensor.initial]));
  const session = await openSession(prepared.served(initial, true), threads === 0 ? {} : { threads });
  const { features } = step.inputs;
  const fed = new Set(session.inputs.map(({ name }) => name));
  const [output = ''] = session.outputs.map(({ name }) => name);
  return {
    async figures(state, part) {
      const weights = Object.fromEntries(Object.entries(state).filter(([name]) => fed.has(name)));
      const evaluation = classes > 0 ? evaluateClasses(classes) : evaluateNumbers();
      for (const lesson of examples.heldOut(part)) {
        const answers = await session.run({ ...weights, [features]: lesson.features });
        evaluation.add(answers[output]?.data as Float32Array, lesson.targets, lesson.targets.length);
      }
      return evaluation.figures();
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
