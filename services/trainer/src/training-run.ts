import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { StateTensor } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';
import { writeOnnx } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import { readCheckpoint, writeCheckpoint } from './checkpoint.js';
import { openEvaluator } from './evaluator.js';
import type { Lesson, Part } from './examples.js';
import { prepareTraining } from './prepared-training.js';
import type { PreparedTraining } from './prepared-training.js';
import { learningRateAt } from './schedule.js';
import { askTeacher } from './teacher.js';
import type { FromTraining, ProgressReport, TrainingOrder } from './training-messages.js';

/** Another try would end in the same way. */
export class TrainingFailedError extends Error {
  override readonly name = 'TrainingFailedError';
}

/** Streams of a job's seed: dropout masks take those from here on, one each, a place per step. */
const maskStreams = 50;
const reportMs = 100;

type Tell = (message: FromTraining) => Promise<void>;
type State = Record<string, TypedTensor>;

/**
 * Trains in this process, which ONNX Runtime blocks step by step. The same order gives the same numbers, wherever it goes
 * on from a checkpoint. Throws TrainingFailedError.
 */
export async function runTraining(order: TrainingOrder, tell: Tell): Promise<void> {
  const { plan, threads, folder } = order;
  const prepared = await prepareTraining(order);
  const { examples, step, classes } = prepared;
  const { batchSize } = plan;
  const seed = BigInt(plan.seed);
  const { stepsPerEpoch } = examples;
  const steps = plan.steps || examples.stepsOf(plan.epochs);
  const evaluateEvery = plan.evaluateEvery || examples.evaluateEvery;

  const { asked } = prepared;
  const teach =
    order.teacherPath === undefined || asked === undefined
      ? undefined
      : await askTeacher(order.teacherPath, asked.table, asked.rows, threads);
  await using session = await openSession(writeOnnx(step.model), {
    ...(threads === 0 ? {} : { threads }),
    keepMemory: true,
    // blocked layouts pay where weights are constants; here each would be laid out anew at every step
    graphOptimization: 'extended',
  });
  await using evaluator = await openEvaluator(prepared, threads);

  const start = await startOf(order, prepared);
  const { state } = start;
  let { lossSum } = start;
  const history = [...start.history];
  let done = start.step;
  let gradientNorm = 0;
  const clock = createClock(done, batchSize);

  const progress = (loss: number, metrics: ProgressReport['metrics']): ProgressReport => ({
    // the last step of an epoch belongs to it
    epoch: Math.floor(Math.max(0, done - 1) / stepsPerEpoch) + 1,
    epochs: Math.ceil(steps / stepsPerEpoch),
    step: done,
    steps,
    loss,
    metrics,
    ...clock.speed(done, steps),
    learningRate: learningRateAt(plan.schedule, plan.learningRate, Math.max(0, done - 1), steps),
    gradientNorm,
    residentBytes: process.memoryUsage.rss(),
  });

  let reportedAt = 0;
  let savedAt = Date.now();
  while (done < steps) {
    const lesson = examples.at(done);
    const feeds = feedsOf(prepared, lesson, { plan, step: done, steps, seed });
    if (teach && step.inputs.teacher && lesson.rows) {
      feeds[step.inputs.teacher] = { dims: [batchSize, classes], data: teach(lesson.rows) };
    }
    const outputs = await session.run({ ...state, ...feeds });
    const loss = (outputs[step.outputs.loss]?.data as Float32Array)[0]!;
    gradientNorm = (outputs[step.outputs.gradientNorm]?.data as Float32Array)[0]!;
    done++;
    if (!Number.isFinite(loss)) throw diverged('loss', loss, done, steps);
    for (const { input, output } of step.state) state[input] = outputs[output]!;
    lossSum += loss;

    const sinceEvaluation = done % evaluateEvery || evaluateEvery;
    if (done % evaluateEvery === 0 || done === steps) {
      const figures = await figuresOf('while training');
      const trainLoss = lossSum / sinceEvaluation;
      history.push({ epoch: done / stepsPerEpoch, step: done, train_loss: trainLoss, ...figures });
      await tell({ kind: 'progress', progress: progress(trainLoss, figures) });
      lossSum = 0;
    } else if (Date.now() - reportedAt >= reportMs) {
      reportedAt = Date.now();
      await tell({ kind: 'progress', progress: progress(lossSum / sinceEvaluation, {}) });
      await turn(); // messages leave, and a parent that is gone is noticed
    }
    if (Date.now() - savedAt >= order.checkpointMs && done < steps) {
      savedAt = Date.now();
      await save();
    }
  }

  /** The last update may have broken weights whose loss was a number before it. */
  async function figuresOf(part: Part): Promise<Record<string, number>> {
    const figures = await evaluator.figures(state, part);
    for (const [name, value] of Object.entries(figures)) {
      if (!Number.isFinite(value)) throw diverged(`${name} of held-out examples`, value, done, steps);
    }
    return figures;
  }

  async function save(): Promise<void> {
    const path = join(folder, `checkpoint-${done}`);
    const tensors = new Map(step.state.map(({ input }) => [input, state[input]!.data as Float32Array]));
    await writeFile(path, writeCheckpoint({ step: done, lossSum, history, inputs: order.inputs, tensors }));
    await tell({ kind: 'checkpoint', path, step: done });
  }

  const weights = new Map(step.state.map(({ input }) => [input, state[input]!.data as Float32Array]));
  const path = join(folder, 'model.onnx');
  await writeFile(path, prepared.served(weights, false));
  const figures = await figuresOf('at the end');
  const metrics = { ...figures, train_loss: history.at(-1)?.['train_loss'] ?? 0, parameters: prepared.parameters };
  await tell({ kind: 'done', path, metrics });
}

const diverged = (what: string, got: number, step: number, steps: number) =>
  new TrainingFailedError(
    `the ${what} is ${got} at step ${step} of ${steps}: try a smaller learning rate, or clip_norm`,
  );

interface Start {
  readonly step: number;
  readonly lossSum: number;
  readonly history: readonly Readonly<Record<string, number>>[];
  readonly state: State;
}

async function startOf({ checkpointPath }: TrainingOrder, { step }: PreparedTraining): Promise<Start> {
  const stateFrom = (values: (tensor: StateTensor) => Float32Array): State =>
    Object.fromEntries(step.state.map((tensor) => [tensor.input, { dims: tensor.dims, data: values(tensor) }]));
  if (checkpointPath !== undefined) {
    const { tensors, ...rest } = readCheckpoint(await readFile(checkpointPath));
    const fits = step.state.every(({ input, initial }) => tensors.get(input)?.length === initial.length);
    if (fits) return { ...rest, state: stateFrom(({ input }) => tensors.get(input)!) };
    // made by another release: its graph had other state
  }
  return { step: 0, lossSum: 0, history: [], state: stateFrom(({ initial }) => initial) };
}

interface Moment {
  readonly plan: TrainingOrder['plan'];
  /** From 0. */
  readonly step: number;
  readonly steps: number;
  readonly seed: bigint;
}

/** What one step is fed besides the state. */
function feedsOf({ step: graph }: PreparedTraining, lesson: Lesson, moment: Moment): State {
  const { plan, step, steps, seed } = moment;
  const { features, targets, learningRate, corrections, dropout } = graph.inputs;
  const scalar = (value: number): TypedTensor => ({ dims: [], data: Float32Array.of(value) });
  const feeds: State = {
    [features]: lesson.features,
    [targets]: lesson.targetTensor,
    [learningRate]: scalar(learningRateAt(plan.schedule, plan.learningRate, step, steps)),
  };
  if (corrections && plan.optimizer.kind === 'adam') {
    feeds[corrections.c1] = scalar(1 / (1 - plan.optimizer.beta1 ** (step + 1)));
    feeds[corrections.c2] = scalar(1 / (1 - plan.optimizer.beta2 ** (step + 1)));
  }
  dropout.forEach(({ name, shape, rate }, i) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const mask = counterRandom(seed, maskStreams + i).uniform(step, count);
    const kept = 1 / (1 - rate);
    for (let k = 0; k < count; k++) mask[k] = mask[k]! < rate ? 0 : kept;
    feeds[name] = { dims: shape, data: mask };
  });
  return feeds;
}

/** Examples per second and the seconds left, since this process began to train. */
function createClock(first: number, batchSize: number) {
  const startedAt = performance.now();
  return {
    speed(done: number, steps: number) {
      const seconds = Math.max(1e-3, (performance.now() - startedAt) / 1000);
      const perSecond = Math.max(1e-9, (done - first) / seconds);
      return { examplesPerSecond: perSecond * batchSize, secondsLeft: (steps - done) / perSecond };
    },
  };
}
