import { MillError, toJson } from '@modelmill/client';
import type { Mill, optimizer, trainer } from '@modelmill/client';
import type { Cli, Command } from '../command.js';
import { connect, connectionFlags, connectionUsage } from '../connection.js';
import { followJobs } from '../follow-jobs.js';
import type { Job } from '../follow-jobs.js';
import { printJson } from '../print-json.js';
import { pick, readArgs, words } from '../read-args.js';
import { endLine } from '../run-specs.js';
import { age, percent } from '../terminal/format.js';
import { lossCurve } from '../terminal/loss-curve.js';
import { table } from '../terminal/table.js';
import { passNames } from './optimize.js';

const flags = { ...connectionFlags, json: { type: 'boolean' } } as const;

const historyFlags = { ...flags, csv: { type: 'boolean' } } as const;

const actions = { list, get, watch, history, cancel };

export const jobs: Command = {
  name: 'jobs',
  summary: 'Lists, shows, watches and cancels jobs of either kind, and draws how a training went.',
  usage: `mill jobs [list] [--json]
mill jobs get ID [--json]
mill jobs watch ID [--json]
mill jobs history ID [--json | --csv]
mill jobs cancel ID

${connectionUsage}`,

  run(args, cli) {
    const [action, rest] = pick(actions, args);
    return action(rest, cli);
  },
};

/** A job and which service it belongs to. */
type KnownJob = { kind: 'train'; job: trainer.TrainingJob } | { kind: 'optimize'; job: optimizer.OptimizationJob };

async function list(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  words(positionals);
  await using mill = await connect(values, cli);
  const [training, optimizing] = await Promise.all([mill.trainer.list(), mill.optimizer.list()]);
  const all: KnownJob[] = [
    ...training.map((job) => ({ kind: 'train', job }) as const),
    ...optimizing.map((job) => ({ kind: 'optimize', job }) as const),
  ];
  const createdAt = ({ job }: KnownJob) => job.status?.createdAt?.getTime() ?? 0;
  all.sort((a, b) => createdAt(b) - createdAt(a));
  if (values.json) return printJson(cli, all.map(asJson));
  if (all.length === 0) return cli.out.print('no jobs yet');
  const rows = all.map(({ kind, job }) => [
    job.status?.jobId,
    kind === 'optimize' && job.spec ? passNames(job.spec) : kind,
    job.spec?.model,
    stateOf(job),
    age(job.status?.createdAt, new Date()),
  ]);
  cli.out.print(table(['job', 'kind', 'model', 'state', 'age'], rows, cli.out.paint.dim));
}

async function get(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [id] = words(positionals, 'ID');
  await using mill = await connect(values, cli);
  printJson(cli, asJson(await find(mill, id)));
}

async function watch(args: readonly string[], cli: Cli): Promise<number> {
  const { values, positionals } = readArgs(args, flags);
  const [id] = words(positionals, 'ID');
  await using mill = await connect(values, cli);
  const { kind } = await find(mill, id);
  const client = kind === 'train' ? mill.trainer : mill.optimizer;
  const screen = values.json ? cli.notes : cli.out;
  const [ended] = await followJobs<Job>(screen, [{ title: kind, updates: client.watch(id, { signal: cli.signal }) }]);
  if (values.json) printJson(cli, asJson(await find(mill, id)));
  else if (ended) cli.out.print(endLine(ended));
  return ended?.job.status?.state?.$case === 'succeeded' ? 0 : 1;
}

/** The loss curve of a training, or its figures. */
async function history(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, historyFlags);
  const [id] = words(positionals, 'ID');
  await using mill = await connect(values, cli);
  const lines = await mill.trainer.history(id);
  if (values.json)
    return printJson(
      cli,
      lines.map(({ step, figures, evaluation }) => ({ step: Number(step), evaluation, ...figures })),
    );
  if (values.csv) return cli.out.print(asCsv(lines));
  const drawn = lossCurve(lines, cli.out.columns, cli.out.paint);
  cli.out.print(drawn.length > 0 ? drawn.join('\n') : `${id}: nothing is known of it yet`);
}

function asCsv(lines: readonly trainer.TrainingHistoryLine[]): string {
  const names = [...new Set(lines.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = lines.map(({ step, evaluation, figures }) => [
    step,
    evaluation,
    ...names.map((name) => figures[name] ?? ''),
  ]);
  return [['step', 'evaluation', ...names], ...rows].map((row) => row.join(',')).join('\n');
}

async function cancel(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [id] = words(positionals, 'ID');
  await using mill = await connect(values, cli);
  const { kind } = await find(mill, id);
  const job = kind === 'train' ? await mill.trainer.cancel(id) : await mill.optimizer.cancel(id);
  cli.out.print(`${id}: ${stateOf(job)}`);
}

async function find(mill: Mill, id: string): Promise<KnownJob> {
  try {
    return { kind: 'train', job: await mill.trainer.get(id) };
  } catch (error) {
    if (!(error instanceof MillError && error.codeName === 'NOT_FOUND')) throw error;
    return { kind: 'optimize', job: await mill.optimizer.get(id) };
  }
}

function asJson({ kind, job }: KnownJob): unknown {
  switch (kind) {
    case 'train':
      return { kind, ...object(toJson('modelmill.v1.TrainingJob', job)) };
    case 'optimize':
      return { kind, ...object(toJson('modelmill.v1.OptimizationJob', job)) };
  }
}

const object = (value: unknown) => (typeof value === 'object' ? value : {});

function stateOf({ status }: Job): string {
  const state = status?.state;
  switch (state?.$case) {
    case 'running':
      return `${state.running.stage || 'running'} ${percent(state.running.done)}`;
    case 'succeeded':
      return state.succeeded.version === '' ? 'succeeded' : `succeeded: version ${state.succeeded.version}`;
    case 'failed':
      return `failed: ${state.failed.reason}`;
    case 'queued':
    case 'cancelled':
      return state.$case;
    case undefined:
      return 'unknown';
  }
}
