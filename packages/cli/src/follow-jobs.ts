import { hasEnded } from '@modelmill/client';
import type { jobs, optimizer, trainer } from '@modelmill/client';
import { CliError } from './cli-error.js';
import type { Progress } from './terminal/progress-bar.js';
import { lossCurve } from './terminal/loss-curve.js';
import { jobsLine } from './terminal/progress-bar.js';
import type { Screen } from './terminal/screen.js';

export type Job = trainer.TrainingJob | optimizer.OptimizationJob;

/** A job to follow under a short name. */
export interface FollowedJob<J extends Job = Job> {
  readonly title: string;
  readonly updates: AsyncIterable<J>;
}

/** How a followed job ended, and how long it took from its submission. */
export interface EndedJob<J extends Job = Job> {
  readonly title: string;
  readonly job: J;
  readonly seconds: number;
  /** How a training's losses went, as it was seen on a terminal; empty otherwise. */
  readonly curve: readonly string[];
}

/** More than a terminal has dots for. */
const mostPoints = 4000;

/** Draws the jobs' progress, and a training's losses where it is alone, until all have ended; each end is told to `onEnd` as it comes. */
export async function followJobs<J extends Job>(
  screen: Screen,
  followed: readonly FollowedJob<J>[],
  onEnd: (ended: EndedJob<J>) => void = () => {},
): Promise<EndedJob<J>[]> {
  const progress = new Map<string, Progress>(
    followed.map(({ title }) => [title, { title, stage: 'queued', done: 0 }] as const),
  );
  let losses: trainer.TrainingHistoryLine[] = [];
  const curve = () =>
    followed.length === 1 && screen.isTerminal ? lossCurve(losses, screen.columns, screen.paint) : [];
  const draw = () => screen.live(...curve(), jobsLine([...progress.values()], screen.columns, screen.paint));
  draw();

  async function follow({ title, updates }: FollowedJob<J>): Promise<EndedJob<J>> {
    let job: J | undefined;
    for await (job of updates) {
      progress.set(title, progressOf(title, job));
      losses.push(...lossesOf(job));
      if (losses.length > mostPoints) losses = losses.filter(({ evaluation }, i) => evaluation || i % 2 === 0);
      draw();
    }
    if (!job || !hasEnded(job.status)) throw new CliError('interrupted');
    progress.delete(title);
    if (progress.size === 0) screen.clear();
    const ended = { title, job, seconds: secondsOf(job.status), curve: curve() };
    onEnd(ended);
    return ended;
  }

  try {
    return await Promise.all(followed.map(follow));
  } finally {
    screen.clear();
  }
}

/** What a job that ended well brought; throws with the reason of one that did not. */
export function successOf({ title, job }: EndedJob): jobs.JobSucceeded {
  const state = job.status?.state;
  if (state?.$case === 'succeeded') return state.succeeded;
  throw new CliError(`${title} ${state?.$case === 'failed' ? `failed: ${state.failed.reason}` : 'was cancelled'}`);
}

function progressOf(title: string, job: Job): Progress {
  const state = job.status?.state;
  const training = 'progress' in job ? job.progress : undefined;
  if (state?.$case !== 'running') return { title, stage: state?.$case ?? 'queued', done: hasEnded(job.status) ? 1 : 0 };
  const ofSteps = training && training.steps > 0n ? Number(training.step) / Number(training.steps) : 0;
  return { title, stage: state.running.stage, done: Math.max(state.running.done, ofSteps), training };
}

/** What a report says of losses: the mean of training since the last evaluation, and of held-out examples at one. */
function lossesOf(job: Job): trainer.TrainingHistoryLine[] {
  const training = 'progress' in job ? job.progress : undefined;
  if (!training || training.step === 0n) return [];
  const { step, loss, metrics } = training;
  const line = (value: number, evaluation: boolean) => ({ step, figures: { loss: value }, evaluation });
  return [line(loss, false), ...(metrics['loss'] === undefined ? [] : [line(metrics['loss'], true)])];
}

const secondsOf = (status: jobs.JobStatus | undefined) =>
  ((status?.updatedAt?.getTime() ?? 0) - (status?.createdAt?.getTime() ?? 0)) / 1000;
