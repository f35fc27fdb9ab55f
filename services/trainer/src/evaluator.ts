import { evaluateClasses, evaluateNumbers, metricsOf } from '@modelmill/data';
import type { ClassFigures } from '@modelmill/data';
import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import type { Part } from './examples.js';
import type { PreparedTraining } from './prepared-training.js';

/** Measures weights on held-out examples with the graph that will be served. */
export interface Evaluator extends AsyncDisposable {
  measure(weights: ReadonlyMap<string, Float32Array>, part: Part): Promise<Measured>;
}

export interface Measured {
  readonly figures: Readonly<Record<string, number>>;
  readonly confusion: readonly (readonly number[])[] | undefined;
  readonly perClass: readonly (ClassFigures | null)[] | undefined;
}

export async function openEvaluator(
  prepared: PreparedTraining,
  asked: readonly string[],
  threads: number,
): Promise<Evaluator> {
  const { examples, step, classes, isText } = prepared;
  const names = asked.length > 0 ? asked : metricsOf(classes, isText);
  const initial = new Map(step.state.map((tensor) => [tensor.input, tensor.initial]));
  const session = await openSession(prepared.served(initial, true), {
    providers: ['cpu'],
    flushDenormals: true,
    ...(threads === 0 ? {} : { threads }),
  });
  const { features } = step.inputs;
  const fed = new Set(session.inputs.map(({ name }) => name));
  const [output = ''] = session.outputs.map(({ name }) => name);
  return {
    async measure(weights, part) {
      const feeds: Record<string, TypedTensor> = {};
      for (const { input, dims } of step.state) {
        const data = weights.get(input);
        if (data && fed.has(input)) feeds[input] = { dims, data };
      }
      const evaluation = classes > 0 ? evaluateClasses(classes, names) : evaluateNumbers(names);
      for (const lesson of examples.heldOut(part)) {
        const answers = await session.run({ ...feeds, [features]: lesson.features });
        evaluation.add(answers[output]?.data as Float32Array, lesson.targets, lesson.targets.length);
      }
      return { figures: evaluation.figures(), confusion: evaluation.confusion(), perClass: evaluation.perClass() };
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
