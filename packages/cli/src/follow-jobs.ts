import { hasEnded } from '@modelmill/client';
import type { jobs, optimizer, trainer } from '@modelmill/client';
import { CliError } from './cli-error.js';
import type { Progress } from './terminal/progress-bar.js';
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
}

/** Draws the jobs' progress as one line until all have ended; each end is told to `onEnd` as it comes. */
export async function followJobs<J extends Job>(
  screen: Screen,
  followed: readonly FollowedJob<J>[],
  onEnd: (ended: EndedJob<J>) => void = () => {},
): Promise<EndedJob<J>[]> {
  const progress = new Map<string, Progress>(
    followed.map(({ title }) => [title, { title, stage: 'queued', done: 0 }] as const),
  );
  const draw = () => screen.live(jobsLine([...progress.values()], screen.columns, screen.paint));
  draw();

  async function follow({ title, updates }: FollowedJob<J>): Promise<EndedJob<J>> {
    let job: J | undefined;
    for await (job of updates) {
      progress.set(title, progressOf(title, job));
      draw();
    }
    if (!job || !hasEnded(job.status)) throw new CliError('interrupted');
    progress.delete(title);
    if (progress.size === 0) screen.clear();
    const ended = { title, job, seconds: secondsOf(job.status) };
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

const secondsOf = (status: jobs.JobStatus | undefined) =>
  ((status?.updatedAt?.getTime() ?? 0) - (status?.createdAt?.getTime() ?? 0)) / 1000;
