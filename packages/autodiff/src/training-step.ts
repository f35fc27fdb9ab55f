import { floatsOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { emit } from './emit.js';
import { TrainingFormError } from './errors.js';
import { freshNames } from './fresh-names.js';
import { gradients } from './gradients.js';
import { distillationLoss, lossOf, mixed } from './losses.js';
import { concat, div, minimum, mul, reshape, split, sqrt, sub, sumSquare, times } from './ops.js';
import { readGraph } from './read-graph.js';
import type { DropoutMask } from './lowerings.js';
import type { StepOptions } from './step-options.js';
import { updateBy } from './updates.js';
import { constant, input, scalar, size } from './value.js';
import type { Value } from './value.js';

/** Float32; feed the output of step t as the input of step t + 1, `initial` at the first. */
export interface StateTensor {
  /** A weight's or running statistic's name in `forward`, or an optimizer slot's own. */
  readonly input: string;
  readonly output: string;
  readonly kind: 'weight' | 'running statistic' | 'optimizer slot';
  readonly dims: readonly number[];
  readonly initial: Float32Array;
}

/** One step of training as one graph: forward, loss, backward, clipping, update. Static shapes, plain opset-18 ops. */
export interface TrainingStep {
  readonly model: Model;
  /** Weights, batch normalization's running statistics, optimizer slots. */
  readonly state: readonly StateTensor[];
  readonly inputs: {
    /** Float [batchSize, ...features]. */
    readonly features: string;
    /** Cross-entropy: int64 class indices, the output's shape without its last axis; mean squared error: float, its shape. */
    readonly targets: string;
    /** Float scalar. */
    readonly learningRate: string;
    /** Adam only: float scalars c1 = 1 / (1 − β1ᵗ), c2 = 1 / (1 − β2ᵗ), t from 1. */
    readonly corrections?: { readonly c1: string; readonly c2: string };
    /** Distillation only: the teacher's logits, float [batchSize, classes]. */
    readonly teacher?: string;
    readonly dropout: readonly DropoutMask[];
  };
  /** Float scalars, and the logits (or predictions) of the batch. The norm is taken before clipping. */
  readonly outputs: { readonly loss: string; readonly logits: string; readonly gradientNorm: string };
}

/**
 * Writes forward pass, loss, gradients, clipping and update into one graph. `forward` is the training form: one float
 * input, one output, trained weights as float initializers of at least one axis. Throws ShapeError, TrainingFormError,
 * and UnsupportedOpError for an operator without a gradient rule.
 */
export function trainingStep(forward: Model, options: StepOptions): TrainingStep {
  const { features, output, weights, statistics, dropout } = readGraph(
    forward,
    options.batchSize,
    options.exampleShape,
  );
  // a graph may call its weights as it likes
  const fresh = freshNames([
    nameOf(features),
    ...weights.keys(),
    ...statistics.keys(),
    ...dropout.map(({ name }) => name),
  ]);
  const hard = lossOf(options.loss, output, fresh('targets'));
  const teacher = options.distillation && input(fresh('teacher'), output.shape);
  if (teacher && options.loss.kind !== 'cross_entropy') {
    throw new TrainingFormError(`distillation takes the cross-entropy loss, got ${options.loss.kind}`);
  }
  const { temperature, mix } = options.distillation ?? { temperature: 1, mix: 0 };
  const loss = teacher ? mixed(distillationLoss(output, teacher, temperature), hard.value, mix) : hard.value;

  const trained = [...weights];
  const found = gradients(
    loss,
    trained.map(([, weight]) => weight),
  );
  if (found.size === 0) throw new TrainingFormError('no weight lies between the input and the loss');
  const moving = trained.flatMap(([name, weight]) => {
    const g = found.get(weight);
    const mask = options.keepZeros ? maskOf(forward, name, weight) : undefined;
    return g ? [{ weight, g: mask ? mul(g, mask) : g }] : [];
  });
  // all gradients in one row: what follows is done once, and not weight by weight
  const flat = concat(
    moving.map(({ g }) => reshape(g, [size(g.shape)])),
    0,
  );
  const norm = sqrt(sumSquare(flat));
  const d = options.clipNorm ? mul(flat, minimum(scalar(1), div(scalar(options.clipNorm), norm))) : flat;

  const learningRate = input(fresh('learning_rate'), []);
  const corrections = { c1: input(fresh('correction.c1'), []), c2: input(fresh('correction.c2'), []) };
  const { taken, slots } = updateBy(options.optimizer, d, { learningRate, corrections }, fresh);
  const parts =
    moving.length === 1
      ? [taken]
      : split(
          taken,
          moving.map(({ weight }) => size(weight.shape)),
          0,
        );
  const decay = options.optimizer.kind === 'adam' ? options.optimizer.weightDecay : 0;
  const nextOf = new Map(
    moving.map(({ weight }, i) => {
      const kept = decay === 0 ? weight : sub(weight, mul(weight, times(learningRate, decay)));
      return [weight, sub(kept, reshape(parts[i]!, weight.shape))] as const;
    }),
  );
  const state: { kind: StateTensor['kind']; value: Value; next: Value; initial: Float32Array }[] = [
    ...trained.map(([name, weight]) => ({
      kind: 'weight' as const,
      value: weight,
      next: nextOf.get(weight) ?? weight,
      initial: floatsOf(forward.graph.initializers.get(name)!),
    })),
    ...slots.map(({ now, next }) => ({
      kind: 'optimizer slot' as const,
      value: now,
      next,
      initial: new Float32Array(size(now.shape)),
    })),
  ];
  for (const [name, { now, next }] of statistics) {
    state.push({
      kind: 'running statistic',
      value: now,
      next,
      initial: floatsOf(forward.graph.initializers.get(name)!),
    });
  }

  const adam = options.optimizer.kind === 'adam';
  const tensors = state.map(({ kind, value, initial }): StateTensor => ({
    kind,
    input: nameOf(value),
    output: fresh(`next/${nameOf(value)}`),
    dims: value.shape,
    initial,
  }));
  const outputs = { loss: fresh('loss'), logits: fresh('logits'), gradientNorm: fresh('gradient_norm') };
  const model = emit({
    name: `${forward.graph.name}.training`,
    inputs: [
      features,
      hard.targets,
      learningRate,
      ...(adam ? [corrections.c1, corrections.c2] : []),
      ...(teacher ? [teacher] : []),
      ...dropout.map(({ name, shape }) => input(name, shape)),
      ...state.map(({ value }) => value),
    ],
    outputs: new Map([
      [outputs.loss, loss],
      [outputs.logits, output],
      [outputs.gradientNorm, norm],
      ...state.map(({ next }, i) => [tensors[i]!.output, next] as const),
    ]),
  });
  return {
    model,
    state: tensors,
    inputs: {
      features: nameOf(features),
      targets: nameOf(hard.targets),
      learningRate: nameOf(learningRate),
      ...(adam ? { corrections: { c1: nameOf(corrections.c1), c2: nameOf(corrections.c2) } } : {}),
      ...(teacher ? { teacher: nameOf(teacher) } : {}),
      dropout,
    },
    outputs,
  };
}

const nameOf = ({ source }: Value): string => (source.kind === 'input' ? source.name : '');

/** 1 where a weight may change; undefined where all may. */
function maskOf({ graph }: Model, name: string, { shape }: Value): Value | undefined {
  const values = floatsOf(graph.initializers.get(name)!);
  if (shape.length < 2 || values.every((value) => value !== 0)) return undefined;
  return constant(
    values.map((value) => Number(value !== 0)),
    shape,
  );
}
