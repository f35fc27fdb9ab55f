import type { Material } from './material.js';
import { prepareFrom } from './prepared-training.js';
import type { PreparedTraining } from './prepared-training.js';
import { openSteps } from './step-session.js';
import type { Steps } from './step-session.js';
import { stepFeeds } from './step-feeds.js';
import { stepMilliseconds } from './step-time.js';
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
  let untrained: readonly number[] | undefined;
  const trials = [];
  for (const { name, optimizer, low, high } of candidates) {
    const plan = { ...order.plan, optimizer, batchSize, ...trial };
    const prepared = await prepareFrom({ ...order, plan }, material);
    untrained ??= await run(prepared, plan, order, { rateAt: () => 0, learns: false });
    const rising = (at: number) => low * (high / low) ** (at / (trialSteps - 1));
    const ranged = shares(await run(prepared, plan, order, { rateAt: rising }), untrained);
    const rate = rounded(safety * rising(ranged.indexOf(Math.min(...ranged))));
    const losses = await run(prepared, plan, order, { rateAt: () => rate });
    const share = losses.length < trialSteps ? Infinity : shares(losses, untrained).at(-1)!;
    trials.push({ name, optimizer, rate, share });
  }
  const [best] = [...trials].sort((a, b) => a.share - b.share);
  const said = trials.map(({ name, rate, share }) => {
    const to = Number.isFinite(share) ? String(Number(share.toPrecision(3))) : 'no number';
    return `${name} at ${rate}: ${to}`;
  });
  const { name, optimizer, rate } = best!;
  return {
    optimizer,
    learningRate: rate,
    batchSize,
    notes: [
      why,
      `chose ${name} with a rate of ${rate}: ${trialSteps} steps led to these shares of the untrained network's loss on ` +
        `the same batches (${said.join(', ')}); each rate is a quarter of the one at which that was lowest in a range test`,
    ],
  };
}

/** A float of full precision: on a thread that trains, smaller numbers count as zero. */
const smallest = 1.2e-38;

/** Moving averages of losses as shares of the untrained network's: batches differ, and some are harder than others. */
function shares(losses: readonly number[], untrained: readonly number[]): number[] {
  let average = Number.NaN;
  return losses.slice(0, untrained.length).map((loss, at) => {
    const share = loss / Math.max(untrained[at]!, smallest);
    average = at === 0 ? share : 0.7 * average + 0.3 * share;
    return average;
  });
}

async function chooseBatchSize(order: TrainingOrder, material: Material) {
  const most = Math.max(1, Math.floor(material.trainExamples / 8));
  const possible = batchSizes.filter((size) => size <= most);
  const speeds: { batchSize: number; speed: number }[] = [];
  for (const batchSize of possible.length > 0 ? possible : [most]) {
    const plan = { ...order.plan, batchSize, ...trial };
    const prepared = await prepareFrom({ ...order, plan }, material);
    await using session = await begun(prepared, plan, order);
    const feedsOf = stepFeeds(prepared, plan);
    const feedsAt = (at: number) => Promise.resolve(feedsOf(prepared.examples.at(at), at, 1e-4));
    speeds.push({ batchSize, speed: (1000 * batchSize) / (await stepMilliseconds(session, feedsAt)) });
  }
  const first = speeds[0]!;
  const chosen = speeds.reduce((best, one) => (one.speed > worthwhile * best.speed ? one : best), first);
  const said = speeds.map(({ batchSize, speed }) => `${batchSize}: ${Math.round(speed)}`).join(', ');
  return {
    batchSize: chosen.batchSize,
    why: `chose batches of ${chosen.batchSize}: examples per second were ${said}, and a larger batch has to be ${worthwhile} times as fast`,
  };
}

interface TrialSteps {
  rateAt(step: number): number;
  /** Otherwise every step begins with the untrained network. */
  readonly learns?: boolean;
}

/** The steps of an untrained network. */
async function begun({ step }: PreparedTraining, plan: TrainingPlan, order: TrainingOrder): Promise<Steps> {
  const session = await openSteps(step, plan, order);
  session.setState(Object.fromEntries(step.state.map(({ input, dims, initial }) => [input, { dims, data: initial }])));
  return session;
}

/** Losses of a trial, up to one that is no number. */
async function run(
  prepared: PreparedTraining,
  plan: TrainingPlan,
  order: TrainingOrder,
  { rateAt, learns = true }: TrialSteps,
): Promise<readonly number[]> {
  const { step, examples } = prepared;
  await using session = await begun(prepared, plan, order);
  const feedsOf = stepFeeds(prepared, plan);
  const losses: number[] = [];
  for (let at = 0; at < trialSteps; at++) {
    const outputs = await session.run(feedsOf(examples.at(at), at, rateAt(at)));
    const loss = (outputs[step.outputs.loss]?.data as Float32Array)[0]!;
    if (!Number.isFinite(loss)) break;
    losses.push(loss);
    if (learns) session.advance();
  }
  return losses;
}

const rounded = (rate: number) => Number(rate.toPrecision(2));
