import type { Material } from './material.js';
import { prepareFrom } from './prepared-training.js';
import type { PreparedTraining } from './prepared-training.js';
import { openSteps } from './step-session.js';
import { stepFeeds } from './step-feeds.js';
import type { TrainingOrder } from './training-messages.js';
import type { TrainingPlan } from './training-plan.js';

/** What `auto` decided, and why. Plain data: it lies in checkpoints, so that a job that goes on decides nothing anew. */
export interface ChosenRecipe extends Pick<TrainingPlan, 'optimizer' | 'learningRate' | 'batchSize'> {
  readonly notes: readonly string[];
}

/** Rates between which an optimizer is tried. */
const candidates = [
  {
    name: 'AdamW',
    optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
    low: 1e-5,
    high: 0.1,
  },
  { name: 'SGD with Nesterov momentum', optimizer: { kind: 'sgd', momentum: 0.9, nesterov: true }, low: 1e-4, high: 3 },
  {
    name: 'RMSprop',
    optimizer: { kind: 'rms_prop', decay: 0.99, epsilon: 1e-8, momentum: 0 },
    low: 1e-5,
    high: 0.1,
  },
] as const;

const batchSizes = [32, 64, 128, 256];
const timedSteps = 4;
const trialSteps = 40;
/** The rate taken is this part of the one at which the loss was lowest: beyond that it rises. */
const safety = 0.25;
/** Every batch of a trial makes an update. */
const trial = { accumulate: 1 };
/** A larger batch has to bring so much more speed. */
const worthwhile = 1.15;

/** Tries batch sizes for their speed, and optimizers by a short range test of their rates (Smith 2017). */
export async function chooseRecipe(order: TrainingOrder, material: Material): Promise<ChosenRecipe> {
  const { batchSize, why } = await chooseBatchSize(order, material);
  const trials = [];
  for (const { name, optimizer, low, high } of candidates) {
    const plan = { ...order.plan, optimizer, batchSize, ...trial };
    const prepared = await prepareFrom({ ...order, plan }, material);
    const ranged = await run(prepared, plan, order.threads, (at) => low * (high / low) ** (at / (trialSteps - 1)));
    const rate = rounded(safety * low * (high / low) ** (ranged.lowestAt / (trialSteps - 1)));
    const held = await run(prepared, plan, order.threads, () => rate);
    trials.push({ name, optimizer, rate, first: held.first, last: held.smoothed });
  }
  const finite = trials.filter(({ last }) => Number.isFinite(last));
  const [best] = (finite.length > 0 ? finite : trials).sort((a, b) => a.last - b.last);
  const said = trials.map(({ name, rate, last }) => `${name} at ${rate}: ${last.toPrecision(3)}`).join(', ');
  const { name, optimizer, rate, first } = best!;
  return {
    optimizer,
    learningRate: rate,
    batchSize,
    notes: [
      why,
      `chose ${name} with a rate of ${rate}: from a loss of ${first.toPrecision(3)}, ${trialSteps} steps led to (${said}); ` +
        `each rate is a quarter of the one at which the loss was lowest in a range test`,
    ],
  };
}

async function chooseBatchSize(order: TrainingOrder, material: Material) {
  const most = Math.max(1, Math.floor(material.trainExamples / 8));
  const possible = batchSizes.filter((size) => size <= most);
  const speeds: { batchSize: number; speed: number }[] = [];
  for (const batchSize of possible.length > 0 ? possible : [most]) {
    const plan = { ...order.plan, batchSize, ...trial };
    const prepared = await prepareFrom({ ...order, plan }, material);
    const { milliseconds } = await run(prepared, plan, order.threads, () => 1e-4, timedSteps);
    speeds.push({ batchSize, speed: (1000 * batchSize) / milliseconds });
  }
  const first = speeds[0]!;
  const chosen = speeds.reduce((best, one) => (one.speed > worthwhile * best.speed ? one : best), first);
  const said = speeds.map(({ batchSize, speed }) => `${batchSize}: ${Math.round(speed)}`).join(', ');
  return {
    batchSize: chosen.batchSize,
    why: `chose batches of ${chosen.batchSize}: examples per second were ${said}, and a larger batch has to be ${worthwhile} times as fast`,
  };
}

/** So many steps from the start, at a rate for each. */
async function run(
  prepared: PreparedTraining,
  plan: TrainingPlan,
  threads: number,
  rateAt: (step: number) => number,
  steps = trialSteps,
) {
  const { step, examples } = prepared;
  await using session = await openSteps(step, plan, threads);
  session.setState(Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])));
  let smoothed = Number.NaN;
  let lowest = Number.POSITIVE_INFINITY;
  let lowestAt = 0;
  let first = Number.NaN;
  let startedAt = performance.now();
  for (let at = 0; at < steps; at++) {
    if (at === 1) startedAt = performance.now(); // the first one warms up
    const outputs = await session.run(
      stepFeeds(prepared, examples.at(at), { plan, step: at, learningRate: rateAt(at) }),
    );
    const loss = (outputs[step.outputs.loss]?.data as Float32Array)[0]!;
    session.advance();
    if (at === 0) first = loss;
    smoothed = at === 0 ? loss : 0.7 * smoothed + 0.3 * loss;
    if (!(smoothed < 4 * lowest)) return { first, smoothed: Number.POSITIVE_INFINITY, lowestAt, milliseconds: 0 };
    if (smoothed < lowest) {
      lowest = smoothed;
      lowestAt = at;
    }
  }
  return { first, smoothed, lowestAt, milliseconds: (performance.now() - startedAt) / Math.max(1, steps - 1) };
}

const rounded = (rate: number) => Number(rate.toPrecision(2));
