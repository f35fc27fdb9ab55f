import { toJson } from '@modelmill/client';
import type { Subscription, events as contract } from '@modelmill/client';
import { UsageError } from '../cli-error.js';
import type { Cli, Command } from '../command.js';
import { connect, connectionFlags, connectionUsage } from '../connection.js';
import { numberFlag, readArgs } from '../read-args.js';
import type { Paint } from '../terminal/paint.js';

export const events: Command = {
  name: 'events',
  summary: 'Prints what happens, as it happens or from any moment on.',
  usage: `mill events [FILTER …] [--all | --after SEQUENCE | --since 10m] [--limit N] [--json]

  FILTER               such as 'model.digits.>' or 'job.*.succeeded'; default: every event
  --all                from the first event that is kept
  --after SEQUENCE     from the event after this number on
  --since TIME         from this time on: 30s, 10m, 2h, 1d ago, or 2026-11-23T12:00:00Z
  --limit N            ends after N events
  --json               one JSON object per line
${connectionUsage}`,

  async run(args, cli) {
    const { values, positionals } = readArgs(args, {
      ...connectionFlags,
      all: { type: 'boolean' },
      after: { type: 'string' },
      since: { type: 'string' },
      limit: { type: 'string' },
      json: { type: 'boolean' },
    });
    const limit = values.limit === undefined ? Infinity : numberFlag('limit', values.limit, { min: 1, max: 1e9 });
    const start = startOf(values, new Date());
    await using mill = await connect(values, cli);
    let seen = 0;
    for await (const event of mill.events.subscribe({ filters: positionals, start }, { signal: cli.signal })) {
      print(event, values.json ?? false, cli);
      seen += 1;
      if (seen >= limit) return;
    }
  },
};

function print(event: contract.Event, asJson: boolean, { out }: Cli): void {
  if (asJson) return out.print(JSON.stringify(toJson('modelmill.v1.Event', event)));
  out.print(`${out.paint.dim(String(event.sequence).padStart(6))}  ${eventLine(event, out.paint)}`);
}

/** Time, subject below `mill.event.` and data of an event, in one line. */
export function eventLine(
  { time, subject, data }: { time?: Date | undefined; subject: string; data?: unknown },
  paint: Paint,
): string {
  const words = subject.replace(/^mill\.event\./, '').split('.');
  const what = words.pop() ?? '';
  const named = `${paint.dim(`${words.join('.')}.`)}${paint.cyan(what)}`;
  const facts = Object.entries(data ?? {}).map(([key, value]) => `${paint.dim(`${key}=`)}${show(value)}`);
  return [paint.dim(time?.toISOString().slice(11, 23) ?? ''), named, ...facts].join(' ');
}

function show(value: unknown): string {
  if (typeof value === 'number') return String(Number(value.toPrecision(5)));
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Where the flags say to start. */
export function startOf(
  { all, after, since }: { all?: boolean | undefined; after?: string | undefined; since?: string | undefined },
  now: Date,
): Subscription['start'] {
  if ([all, after, since].filter((flag) => flag !== undefined).length > 1) {
    throw new UsageError('--all, --after and --since exclude one another');
  }
  if (all) return { $case: 'afterSequence', afterSequence: 0n };
  if (after !== undefined) {
    const sequence = numberFlag('after', after, { min: 0, max: Number.MAX_SAFE_INTEGER });
    return { $case: 'afterSequence', afterSequence: BigInt(sequence) };
  }
  if (since === undefined) return undefined;
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(since) ?? [];
  const at = unit === undefined ? new Date(since) : new Date(now.getTime() - Number(amount) * unitsMs[unit]!);
  if (Number.isNaN(at.getTime())) throw new UsageError(`--since is '${since}', wanted 10m or 2026-11-23T12:00:00Z`);
  return { $case: 'since', since: at };
}
