import type { trainer } from '@modelmill/client';
import { clock, count, percent } from './format.js';
import type { Paint } from './paint.js';
import { widthOf } from './paint.js';

/** A job as its progress is shown. */
export interface Progress {
  readonly title: string;
  /** A word or two: `queued`, `training`, `calibrating`. */
  readonly stage: string;
  /** From 0 to 1. */
  readonly done: number;
  readonly training?: trainer.TrainingProgress | undefined;
}

const widestBar = 24;
const narrowestBar = 8;
const smallBar = 6;

/** One line about one job: bar, loss, accuracy, speed, time left; what does not fit is left out, last first. */
export function progressLine({ title, stage, done, training }: Progress, columns: number, paint: Paint): string {
  const head = `${paint.bold(title)}  `;
  const facts = training ? trainingFacts(training) : [stage];
  let tail = `  ${percent(done).padStart(5)}`;
  const room = columns - widthOf(head) - narrowestBar;
  for (const fact of facts) {
    if (widthOf(`${tail}  ${fact}`) > room) break;
    tail += `  ${fact}`;
  }
  const width = Math.min(widestBar, narrowestBar + Math.max(0, room - widthOf(tail)));
  return `${head}${bar(done, width, paint)}${tail}`;
}

/** One line about several jobs. */
export function jobsLine(jobs: readonly Progress[], columns: number, paint: Paint): string {
  const [only] = jobs;
  if (jobs.length === 1 && only) return progressLine(only, columns, paint);
  const wide = jobs
    .map((job) => `${paint.bold(job.title)} ${bar(job.done, smallBar, paint)} ${told(job, paint)}`)
    .join('   ');
  if (widthOf(wide) <= columns) return wide;
  return jobs.map((job) => `${paint.bold(job.title)} ${told(job, paint)}`).join('   ');
}

const told = ({ done, stage }: Progress, paint: Paint) =>
  done >= 1 ? 'done' : `${percent(done)} ${paint.dim(stage)}`.trimEnd();

function trainingFacts(progress: trainer.TrainingProgress): string[] {
  const accuracy = progress.metrics['accuracy'];
  return [
    `epoch ${progress.epoch}/${progress.epochs}`,
    `loss ${progress.loss.toFixed(4)}`,
    ...(accuracy === undefined ? [] : [`accuracy ${accuracy.toFixed(4)}`]),
    `${count(progress.examplesPerSecond)} examples/s`,
    `${clock(progress.secondsLeft)} left`,
  ];
}

function bar(done: number, width: number, paint: Paint): string {
  const eighths = Math.round(Math.min(1, Math.max(0, done)) * width * 8);
  const full = Math.floor(eighths / 8);
  const part = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8]!;
  const filled = '█'.repeat(full) + part;
  return paint.green(filled) + paint.dim('░'.repeat(width - widthOf(filled)));
}
