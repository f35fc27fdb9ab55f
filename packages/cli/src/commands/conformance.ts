import { UsageError } from '../cli-error.js';
import type { Command } from '../command.js';
import { runChecks } from '../conformance/run-checks.js';
import type { Outcome } from '../conformance/run-checks.js';
import type { Doors } from '../conformance/server.js';
import { printJson } from '../print-json.js';
import { readArgs } from '../read-args.js';
import { table } from '../terminal/table.js';

export const conformance: Command = {
  name: 'conformance',
  summary: 'Checks any server against the Open Inference Protocol, over gRPC and REST.',
  usage: `mill conformance URL [--grpc HOST:PORT] [--model NAME …] [--key KEY] [--json]

  URL               a REST door, such as http://127.0.0.1:8000, or grpc://HOST:PORT for a server without one
  --grpc HOST:PORT  its gRPC door; default: none
  --model NAME      a model to ask, may be given again; default: all that are ready
  --key KEY         sent as a bearer key (or MILL_API_KEY)
  --json            the results as JSON

  Asks with zeros and short texts; loads and unloads no model of the server. Exits with 1 where a check fails.`,

  async run(args, cli) {
    const { values, positionals } = readArgs(args, {
      grpc: { type: 'string' },
      model: { type: 'string', multiple: true, default: [] },
      key: { type: 'string' },
      json: { type: 'boolean' },
    });
    const [url] = positionals;
    if (url === undefined) throw new UsageError('URL is missing');
    const apiKey = values.key ?? cli.env['MILL_API_KEY'];
    const outcomes = await runChecks({ ...doorsOf(url, values.grpc), apiKey }, values.model, cli.signal);
    if (values.json) printJson(cli, outcomes);
    else cli.out.print(report(outcomes, cli.out.paint.dim));
    return outcomes.some(({ result }) => result === 'failed') ? 1 : 0;
  },
};

function doorsOf(url: string, grpc: string | undefined): Omit<Doors, 'apiKey'> {
  if (url.startsWith('grpc://')) return { grpc: url.slice('grpc://'.length).replace(/\/$/, ''), rest: undefined };
  if (!/^https?:\/\/./.test(url)) throw new UsageError(`URL is '${url}', wanted http://… or grpc://…`);
  return { rest: url.replace(/\/$/, ''), grpc };
}

function report(outcomes: readonly Outcome[], dim: (text: string) => string): string {
  const rows = outcomes.map(({ door, area, promise, result, reason }) => [door, area, promise, result, reason]);
  const count = (of: Outcome['result']) => outcomes.filter(({ result }) => result === of).length;
  const sum = `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`;
  return `${table(['door', 'about', 'check', 'result', 'why'], rows, dim)}\n${sum}`;
}
