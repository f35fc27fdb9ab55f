import type { Model } from '@modelmill/onnx';
import { runnable } from './run-for-tests.js';
import type { Feeds } from './run-for-tests.js';
import { trainingStep } from './training-step.js';

export interface Schooling {
  readonly features: Feeds[string];
  /** Classes; one per example, or per place of an example. */
  readonly targets: Feeds[string];
  readonly steps: number;
  readonly learningRate: number;
}

/** Adam on one batch; the weights by name, and the loss of each step. */
export async function trainOn(forward: Model, { features, targets, steps, learningRate }: Schooling) {
  const [beta1, beta2] = [0.9, 0.999];
  const [batchSize = 1, ...exampleShape] = features.dims;
  const step = trainingStep(forward, {
    batchSize,
    exampleShape,
    loss: { kind: 'cross_entropy' },
    optimizer: { kind: 'adam', beta1, beta2, epsilon: 1e-8, weightDecay: 0 },
  });
  const run = await runnable(step.model);
  const scalar = (value: number) => ({ dims: [], data: Float32Array.of(value) });
  const state = new Map(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }]));
  const losses: number[] = [];
  let outputs: Record<string, Float32Array> = {};
  for (let t = 1; t <= steps; t++) {
    const { corrections, dropout } = step.inputs;
    outputs = await run({
      [step.inputs.features]: features,
      [step.inputs.targets]: targets,
      [step.inputs.learningRate]: scalar(learningRate),
      [corrections!.c1]: scalar(1 / (1 - beta1 ** t)),
      [corrections!.c2]: scalar(1 / (1 - beta2 ** t)),
      ...Object.fromEntries(
        dropout.map(({ name, shape }) => {
          const count = shape.reduce((a, b) => a * b, 1);
          return [name, { dims: shape, data: new Float32Array(count).fill(1) }];
        }),
      ),
      ...Object.fromEntries(state),
    });
    losses.push(outputs[step.outputs.loss]![0]!);
    for (const { input, output, dims } of step.state) state.set(input, { dims, data: outputs[output]! });
  }
  const isKept = new Set(step.state.filter(({ kind }) => kind !== 'optimizer slot').map(({ input }) => input));
  const weights = new Map([...state].flatMap(([name, { data }]) => (isKept.has(name) ? [[name, data] as const] : [])));
  return { step, losses, weights, logits: outputs[step.outputs.logits]! };
}
