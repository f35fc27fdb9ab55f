import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { StateTensor, TrainingStep } from '@modelmill/autodiff';
import { readCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { Checkpoint } from './checkpoint.js';
import { chooseRecipe } from './choose-recipe.js';
import type { ChosenRecipe } from './choose-recipe.js';
import { areFinite, diverged, whereItBegan } from './divergence.js';
import { openEvaluator } from './evaluator.js';
import type { Part } from './examples.js';
import { readMaterial } from './material.js';
import { prepareFrom } from './prepared-training.js';
import type { PreparedTraining } from './prepared-training.js';
import { rateFactor } from './schedule.js';
import type { Moment } from './schedule.js';
import { isDue, prunedState, pruningTimes } from './gradual-pruning.js';
import { evaluated, mostRollBacks, rolledBack, standingAtStart } from './standing.js';
import type { Standing } from './standing.js';
import { formOf, openSteps } from './step-session.js';
import { stepFeeds } from './step-feeds.js';
import type { Feeds } from './step-feeds.js';
import { isStop, stepsAhead } from './steps-ahead.js';
import { openTeacher } from './teacher.js';
import type { FromTraining, ProgressReport, TrainingOrder } from './training-messages.js';
import type { TrainingPlan } from './training-plan.js';

const reportMs = 100;
/** Steps a job's history tells of, evaluations aside. */
const historySteps = 500;

type Tell = (message: FromTraining) => Promise<void>;
/** Tensors by their names. */
type Tensors = ReadonlyMap<string, Float32Array>;

/**
 * Trains in this process, which ONNX Runtime blocks step by step. The same order gives the same numbers, wherever it goes
 * on from a checkpoint. Throws TrainingFailedError.
 */
export async function runTraining(order: TrainingOrder, tell: Tell): Promise<void> {
  const { threads, folder } = order;
  const material = await readMaterial(order);
  const resumed = order.checkpointPath === undefined ? undefined : readCheckpoint(await readFile(order.checkpointPath));
  // once chosen, a recipe stays: what is measured differs from time to time
  const chosen = order.plan.auto ? (resumed?.standing.chosen ?? (await chooseRecipe(order, material))) : undefined;
  const plan: TrainingPlan = chosen ? { ...order.plan, ...withoutNotes(chosen) } : order.plan;
  const prepared = await prepareFrom({ ...order, plan }, material);
  const { examples, step, classes, asked } = prepared;
  const { stepsPerEpoch } = examples;
  const steps = plan.steps || examples.stepsOf(plan.epochs);
  // sums of importance answer no question
  const evaluateEvery = plan.importance ? Infinity : plan.evaluateEvery || examples.evaluateEvery;
  const pruning = plan.pruning && { ...plan.pruning, times: pruningTimes(plan.pruning, steps) };
  const noteEvery = Math.ceil(steps / historySteps);

  await using teacher =
    order.teacherPath === undefined || asked === undefined
      ? undefined
      : await openTeacher(order.teacherPath, {
          ...asked,
          features: prepared.features,
          provider: plan.provider,
          threads,
        });
  await using session = await openSteps(step, plan, order);
  await using evaluator = await openEvaluator(prepared, plan.metrics, threads);

  const start = startOf(resumed, prepared);
  let { standing, best } = start;
  if (chosen && standing.chosen === null) standing = { ...standing, chosen, notes: chosen.notes };
  /** Evaluations are where a training can be rolled back to: checkpoints are taken by the clock, which is not repeatable. */
  let good = start.good ?? { standing, state: start.state };
  session.setState(start.state);
  let savedStep = standing.step;
  let gradientNorm = 0;
  const clock = createClock(standing.step, plan.batchSize);

  const rateAt = (at: number) =>
    plan.learningRate *
    standing.rateScale *
    rateFactor(plan.schedule, inUpdates(plan, { step: at, steps, stepsPerEpoch }), standing.plateau.factor);

  const feedsOf = stepFeeds(prepared, plan);
  const feedsAt = async (at: number): Promise<Feeds> => {
    const lesson = examples.at(at);
    const feeds = feedsOf(lesson, at, rateAt(at));
    if (!teacher || !step.inputs.teacher) return feeds;
    const { logits, features } = await teacher.teach(lesson);
    feeds[step.inputs.teacher] = { dims: [plan.batchSize, classes], data: logits };
    step.inputs.teacherFeatures.forEach(({ name }, i) => (feeds[name] = features[i]!));
    return feeds;
  };

  const formAt = (at: number) => formOf(plan, at, steps);

  const isPruned = (at: number) => pruning !== undefined && isDue(pruning.times, at);
  const stateAt = (at: number, state: Feeds) =>
    pruning && isPruned(at) ? prunedState(state, step.state, pruning, pruning.times, at) : state;
  const ahead = stepsAhead(session, {
    feedsAt,
    formAt,
    isStop: (at) => isStop(at, { steps, evaluateEvery, isPruned }),
  });

  const progress = (loss: number, metrics: ProgressReport['metrics']): ProgressReport => ({
    // the last step of an epoch belongs to it
    epoch: Math.floor(Math.max(0, standing.step - 1) / stepsPerEpoch) + 1,
    epochs: Math.ceil(steps / stepsPerEpoch),
    step: standing.step,
    steps,
    loss,
    metrics,
    ...clock.speed(standing.step, steps),
    learningRate: rateAt(Math.max(0, standing.step - 1)),
    gradientNorm,
    residentBytes: process.memoryUsage.rss(),
  });

  let reportedAt = 0;
  let savedAt = Date.now();
  if (chosen && standing.step === 0) await save();
  while (standing.step < steps && !standing.stopped) {
    const at = standing.step;
    if (isPruned(at)) session.setState(stateAt(at, await session.state()));
    const outputs = await ahead.run(at);
    const loss = (outputs[step.outputs.loss]?.data as Float32Array)[0]!;
    gradientNorm = (outputs[step.outputs.gradientNorm]?.data as Float32Array)[0]!;
    if (!Number.isFinite(loss)) {
      await recover('loss', loss, at + 1);
      continue;
    }
    // clipping makes nothing of a finite gradient whose norm overflows
    if (Number.isNaN(gradientNorm) || (gradientNorm === Infinity && plan.clipNorm === 0)) {
      await recover('gradient norm', gradientNorm, at + 1);
      continue;
    }
    ahead.advance();
    standing = { ...standing, step: at + 1, lossSum: standing.lossSum + loss };
    if (at % noteEvery === 0) {
      remember({ step: at + 1, loss, learning_rate: rateAt(at), gradient_norm: gradientNorm });
    }

    const sinceEvaluation = standing.step % evaluateEvery || evaluateEvery;
    const meanLoss = standing.lossSum / sinceEvaluation;
    if (standing.step % evaluateEvery === 0 || (standing.step === steps && !plan.importance)) {
      const state = await session.state();
      const { figures, broken } = await measure(servedTensors(step, state), 'while training');
      if (broken) {
        await recover(...broken, standing.step);
        continue;
      }
      remember({ epoch: standing.step / stepsPerEpoch, step: standing.step, train_loss: meanLoss, ...figures });
      await tell({ kind: 'progress', progress: progress(meanLoss, figures) });
      standing = { ...evaluated(standing, plan, figures), lossSum: 0 };
      if (plan.restoreBest && standing.best?.step === standing.step) best = servedTensors(step, state);
      good = { standing, state };
    } else if (Date.now() - reportedAt >= reportMs && ahead.isSettled()) {
      reportedAt = Date.now();
      await tell({ kind: 'progress', progress: progress(meanLoss, {}) });
      await turn(); // messages leave, and a parent that is gone is noticed
    }
    if (Date.now() - savedAt >= order.checkpointMs && standing.step < steps && ahead.isSettled()) {
      savedAt = Date.now();
      await save();
    }
  }

  function remember(line: Standing['history'][number]): void {
    standing = { ...standing, history: [...standing.history, line] };
  }

  /** The last update may have broken weights whose loss was a number before it: `broken` is a figure that is none. */
  async function measure(weights: Tensors, part: Part) {
    const measured = await evaluator.measure(weights, part);
    // where a class is missing there is no curve
    const found = Object.entries(measured.figures).find(([name, value]) => name !== 'auc' && !Number.isFinite(value));
    const broken = found && ([`${found[0]} of held-out examples`, found[1]] as const);
    return { ...measured, broken };
  }

  /** Goes back to the last evaluation where that is asked for. Throws TrainingFailedError otherwise. */
  async function recover(what: string, got: number, at: number): Promise<void> {
    if (!plan.rollBack || standing.rollBacks === mostRollBacks) {
      const course = {
        model: 'model' in step ? step.model : step.loss,
        good: { state: good.state, step: good.standing.step },
        feedsAt,
        formAt,
        stateAt,
      };
      await ahead.settle();
      const offender = await whereItBegan(session, course, standing.step);
      throw diverged({ what, got, step: at, steps, offender, savedStep });
    }
    standing = rolledBack(good.standing, standing, at);
    ahead.drop();
    session.setState(good.state);
  }

  async function save(): Promise<void> {
    const state = await session.state();
    if (!areFinite(state)) return; // the next step will find it so
    savedStep = standing.step;
    const path = join(folder, `checkpoint-${savedStep}`);
    const tensors = new Map(step.state.map(({ input }) => [input, state[input]!.data as Float32Array]));
    for (const [name, values] of best ?? []) tensors.set(`${bestPrefix}${name}`, values);
    const isBehind = plan.rollBack && good.standing.step < standing.step;
    if (isBehind)
      for (const { input } of step.state) tensors.set(`${goodPrefix}${input}`, good.state[input]!.data as Float32Array);
    const behind = isBehind ? { good: good.standing } : {};
    await writeFile(path, writeCheckpoint({ standing, ...behind, inputs: order.inputs, tensors }));
    await tell({ kind: 'checkpoint', path, step: savedStep });
  }

  const weights = best ?? servedTensors(step, await session.state());
  if (best && standing.best) {
    const { monitored } = plan;
    const note = `serves the weights of step ${standing.best.step}, whose ${monitored} was best`;
    standing = { ...standing, notes: [...standing.notes, note] };
  }
  const path = join(folder, 'model.onnx');
  await writeFile(path, prepared.served(weights, false));
  const { figures, confusion, perClass, broken } = plan.importance
    ? { figures: {}, confusion: undefined, perClass: undefined, broken: undefined }
    : await measure(weights, 'at the end');
  if (broken) {
    const [what, got] = broken;
    throw diverged({ what, got, step: standing.step, steps, offender: undefined, savedStep });
  }
  const lastTrainLoss = standing.history.filter((line) => 'train_loss' in line).at(-1)?.['train_loss'] ?? 0;
  const trainLoss = plan.importance ? standing.lossSum / steps : lastTrainLoss;
  const metrics = { ...figures, train_loss: trainLoss, parameters: prepared.parameters };
  const historyPath = join(folder, 'history.ndjson');
  const last = { ...metrics, step: standing.step, confusion, per_class: perClass };
  const lines = [...standing.history, last];
  await writeFile(historyPath, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await tell({ kind: 'done', path, metrics, historyPath, notes: standing.notes });
}

/** Schedules count updates, of which several batches may make one. */
const inUpdates = ({ accumulate }: TrainingOrder['plan'], { step, steps, stepsPerEpoch }: Moment): Moment => ({
  step: Math.floor(step / accumulate),
  steps: Math.ceil(steps / accumulate),
  stepsPerEpoch: stepsPerEpoch / accumulate,
});

/** Weights, or their averages where these are kept, and running statistics, by their names in the graph. */
function servedTensors(step: Pick<TrainingStep, 'state'>, state: Feeds): Tensors {
  const averages = new Map(step.state.flatMap(({ of, input }) => (of === undefined ? [] : [[of, input] as const])));
  return new Map(
    step.state
      .filter(({ kind }) => kind === 'weight' || kind === 'running statistic')
      .map(({ input }) => [input, state[averages.get(input) ?? input]!.data as Float32Array]),
  );
}

/** In a checkpoint, of the tensors of the best evaluation, and of the state of the last one. */
const bestPrefix = 'best/';
const goodPrefix = 'good/';

interface Start {
  standing: Standing;
  state: Feeds;
  /** What the best evaluation measured, where it will be restored. */
  best: Tensors | undefined;
  /** The last evaluation, where the training can be rolled back to it. */
  good: { standing: Standing; state: Feeds } | undefined;
}

const withoutNotes = ({ optimizer, learningRate, batchSize }: ChosenRecipe) => ({ optimizer, learningRate, batchSize });

function startOf(resumed: Checkpoint | undefined, { step }: PreparedTraining): Start {
  const stateFrom = (values: (tensor: StateTensor) => Float32Array): Feeds =>
    Object.fromEntries(step.state.map((tensor) => [tensor.input, { dims: tensor.dims, data: values(tensor) }]));
  if (resumed) {
    const { tensors, standing, good } = resumed;
    const fits = step.state.every(({ input, initial }) => tensors.get(input)?.length === initial.length);
    if (fits) {
      const kept = [...tensors].filter(([name]) => name.startsWith(bestPrefix));
      const best = new Map(kept.map(([name, values]) => [name.slice(bestPrefix.length), values]));
      return {
        standing,
        state: stateFrom(({ input }) => tensors.get(input)!),
        best: best.size > 0 ? best : undefined,
        good: good && { standing: good, state: stateFrom(({ input }) => tensors.get(`${goodPrefix}${input}`)!) },
      };
    }
    // made by another release: its graph had other state
  }
  return { standing: standingAtStart, state: stateFrom(({ initial }) => initial), best: undefined, good: undefined };
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
