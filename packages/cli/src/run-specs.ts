import type { Mill, jobs } from '@modelmill/client';
import { CliError } from './cli-error.js';
import type { Cli } from './command.js';
import { connect, connectionFlags } from './connection.js';
import { followJobs } from './follow-jobs.js';
import type { EndedJob, Job } from './follow-jobs.js';
import { printJson } from './print-json.js';
import { readArgs, words } from './read-args.js';
import { readSpecs } from './read-specs.js';
import { duration } from './terminal/format.js';

/** How specs of one kind are read, submitted, followed and shown. */
export interface SpecKind<Spec, J extends Job> {
  parse(json: unknown): Spec;
  titleOf(spec: Spec): string;
  submit(mill: Mill, spec: Spec): Promise<J>;
  watch(mill: Mill, jobId: string, cli: Cli): AsyncIterable<J>;
  toJson(job: J): unknown;
}

/** Submits every spec of a file and follows the jobs; the exit code tells whether all of them succeeded. */
export async function runSpecs<Spec, J extends Job>(
  kind: SpecKind<Spec, J>,
  args: readonly string[],
  cli: Cli,
): Promise<number> {
  const { values, positionals } = readArgs(args, {
    ...connectionFlags,
    json: { type: 'boolean' },
    detach: { type: 'boolean' },
  });
  const [file] = words(positionals, 'SPEC.yaml');
  const specs = await readSpecs(cli.cwd, file, kind.parse);
  await using mill = await connect(values, cli);

  const submitted: { title: string; jobId: string; job: J }[] = [];
  for (const [index, spec] of specs.entries()) {
    const job = await kind.submit(mill, spec);
    const title = kind.titleOf(spec);
    const isTaken = submitted.some((other) => other.title === title);
    submitted.push({ title: isTaken ? `${title} ${index + 1}` : title, jobId: job.status?.jobId ?? '', job });
  }
  if (values.detach) {
    if (values.json)
      printJson(
        cli,
        submitted.map(({ job }) => kind.toJson(job)),
      );
    else for (const { jobId } of submitted) cli.out.print(jobId);
    return 0;
  }

  const screen = values.json ? cli.notes : cli.out;
  for (const { title, jobId } of submitted) screen.print(screen.paint.dim(`${title}: job ${jobId}`));
  const followed = submitted.map(({ title, jobId }) => ({ title, updates: kind.watch(mill, jobId, cli) }));
  const ended = await followJobs(screen, followed, (one) => {
    for (const line of one.curve) screen.print(line);
    screen.print(endLine(one));
    for (const note of notesOf(one)) screen.print(screen.paint.dim(`  ${note}`));
  });
  if (values.json)
    printJson(
      cli,
      ended.map(({ job }) => kind.toJson(job)),
    );
  return ended.every(({ job }) => job.status?.state?.$case === 'succeeded') ? 0 : 1;
}

/** One line about a job that has ended. */
export function endLine({ title, job, seconds }: EndedJob): string {
  const state = job.status?.state;
  const model = job.spec?.model ?? '';
  switch (state?.$case) {
    case 'succeeded':
      return `${title}: ${model} version ${state.succeeded.version}${figures(state.succeeded)} in ${duration(seconds)}`;
    case 'failed':
      return `${title}: failed: ${state.failed.reason}`;
    case 'cancelled':
      return `${title}: cancelled`;
    default:
      throw new CliError(`${title} has not ended`);
  }
}

/** What was decided on the way: why a training stopped early, what was chosen for it. */
export function notesOf({ job }: EndedJob): readonly string[] {
  const state = job.status?.state;
  return state?.$case === 'succeeded' ? state.succeeded.notes : [];
}

/** Of these the first that there is says most. */
const telling = ['accuracy', 'r2', 'perplexity', 'loss'];

function figures({ metrics }: jobs.JobSucceeded): string {
  const name = telling.find((one) => metrics[one] !== undefined);
  return name === undefined ? '' : `, ${name} ${metrics[name]!.toFixed(4)}`;
}
