import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { datasets as contract } from '@modelmill/client';
import { UsageError } from '../cli-error.js';
import type { Cli, Command } from '../command.js';
import { connect, connectionFlags, connectionUsage } from '../connection.js';
import { columnNotes } from '../column-notes.js';
import { formatFrom } from '../dataset-format-flags.js';
import { digestOf } from '../digest-of.js';
import { printJson, printMessage } from '../print-json.js';
import { numberFlag, pick, readArgs, words } from '../read-args.js';
import { age, bytes, count } from '../terminal/format.js';
import { table } from '../terminal/table.js';

const flags = { ...connectionFlags, json: { type: 'boolean' } } as const;

const actions = { list, get, upload, preview, delete: remove };

export const datasets: Command = {
  name: 'datasets',
  summary: 'Lists, uploads, previews and deletes datasets.',
  usage: `mill datasets [list]
mill datasets get NAME
mill datasets upload FILE [--name NAME] [--format FORMAT] [--header] [--target COLUMN] [--features COLUMNS]
                     [--ignore COLUMNS] [--categorical COLUMNS] [--missing RULE]
                     [--splits TRAIN,VALIDATION,TEST] [--seed N]
mill datasets upload FEATURES TARGETS [--name NAME]
mill datasets preview NAME [VERSION] [--rows N]
mill datasets delete NAME

  FILE                 CSV, NDJSON (one object per line) or text, gzip or not
  FEATURES TARGETS     a pair of IDX (images and labels) or NPY files, gzip or not
  --format FORMAT      csv, ndjson, text, idx or npy; by default what the file's name says, else csv or idx
  --header             CSV: the first row names the columns
  --target COLUMN      the column to predict, by default the last one
  --features COLUMNS   the columns to learn from, by default all others; names with commas between them
  --ignore COLUMNS     columns to leave out
  --categorical COLUMNS
                       columns whose numbers are names
  --missing RULE       what missing numbers are taken for: refuse (default), mean, median or zero
  --splits A,B,C       shares of the rows, default 0.8,0,0.2
  --json               the answer as JSON
${connectionUsage}`,

  run(args, cli) {
    const [action, rest] = pick(actions, args);
    return action(rest, cli);
  },
};

async function list(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  words(positionals);
  await using mill = await connect(values, cli);
  const all = await mill.datasets.list();
  if (values.json) return printMessage(cli, 'modelmill.v1.ListDatasetsResponse', { datasets: all });
  if (all.length === 0) return cli.out.print('no datasets yet');
  cli.out.print(
    versionsTable(
      all.flatMap(({ versions }) => versions.slice(-1)),
      cli,
    ),
  );
}

async function get(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [name] = words(positionals, 'NAME');
  await using mill = await connect(values, cli);
  const dataset = await mill.datasets.get(name);
  if (values.json) return printMessage(cli, 'modelmill.v1.Dataset', dataset);
  cli.out.print(versionsTable(dataset.versions, cli));
}

async function upload(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, {
    ...flags,
    name: { type: 'string' },
    header: { type: 'boolean', default: false },
    target: { type: 'string', default: '' },
    format: { type: 'string' },
    features: { type: 'string', default: '' },
    ignore: { type: 'string', default: '' },
    categorical: { type: 'string', default: '' },
    missing: { type: 'string', default: '' },
    splits: { type: 'string' },
    seed: { type: 'string', default: '0' },
  });
  const [file, second] = words(positionals, 'FILE', 'TARGETS?');
  const paths = [file, ...(second === undefined ? [] : [second])].map((path) => resolve(cli.cwd, path));
  const { size } = await stat(paths[0]!);
  await using mill = await connect(values, cli);
  const stored = await mill.datasets.upload(
    {
      dataset: values.name ?? nameOf(file),
      content: contentOf(paths),
      sha256: await digestOf(contentOf(paths)),
      format: formatFrom(values, paths, size),
      splits: values.splits === undefined ? undefined : splitsOf(values.splits, values.seed),
    },
    { signal: cli.signal },
  );
  if (values.json) return printMessage(cli, 'modelmill.v1.DatasetVersion', stored);
  const unit = stored.format?.$case === 'text' ? 'characters' : 'rows';
  cli.out.print(
    `${stored.dataset} version ${stored.version}: ${count(stored.rows)} ${unit}, ${bytes(stored.sizeBytes)}`,
  );
  for (const note of columnNotes(stored.schema?.columns ?? [])) cli.out.print(cli.out.paint.dim(`  ${note}`));
}

async function preview(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, { ...flags, rows: { type: 'string', default: '10' } });
  const [name, version = ''] = words(positionals, 'NAME', 'VERSION?');
  const rows = numberFlag('rows', values.rows, { min: 1, max: 100 });
  await using mill = await connect(values, cli);
  const examples = await mill.datasets.preview(name, { version, rows });
  if (values.json) return printJson(cli, examples);
  for (const { features, target, text } of examples) {
    cli.out.print(features.length === 0 ? text : `${target}  ${cli.out.paint.dim(features.join(' '))}`);
  }
}

async function remove(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [name] = words(positionals, 'NAME');
  await using mill = await connect(values, cli);
  await mill.datasets.delete(name);
  cli.out.print(`deleted ${name}`);
}

function versionsTable(versions: readonly contract.DatasetVersion[], { out }: Cli): string {
  return table(
    ['dataset', 'version', 'rows', 'features', 'target', 'size', 'age'],
    versions.map(({ dataset, version, rows, schema, sizeBytes, createdAt }) => [
      dataset,
      version,
      count(rows),
      schema?.featureShape.join('×'),
      schema && (schema.classes.length > 0 ? `${schema.target}, ${schema.classes.length} classes` : schema.target),
      bytes(sizeBytes),
      age(createdAt, new Date()),
    ]),
    out.paint.dim,
  );
}

/** digits.csv.gz → digits. */
const nameOf = (file: string) => basename(file).replace(/\..*$/, '');

async function* contentOf(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const path of paths) yield* createReadStream(path) as AsyncIterable<Uint8Array>;
}

function splitsOf(text: string, seed: string): contract.Splits {
  const shares = text.split(',').map((share) => numberFlag('splits', share, { min: 0, max: 1 }));
  const [train, validation, test] = shares;
  if (train === undefined || validation === undefined || test === undefined || shares.length > 3) {
    throw new UsageError(`--splits is '${text}', wanted three shares such as 0.8,0.1,0.1`);
  }
  return { train, validation, test, seed: BigInt(numberFlag('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER })) };
}
