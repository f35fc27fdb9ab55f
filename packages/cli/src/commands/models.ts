import type { registry } from '@modelmill/client';
import { UsageError } from '../cli-error.js';
import type { Cli, Command } from '../command.js';
import { connect, connectionFlags, connectionUsage } from '../connection.js';
import { printMessage } from '../print-json.js';
import { numberFlag, pick, readArgs, words } from '../read-args.js';
import { age, bytes, count, figure } from '../terminal/format.js';
import { table } from '../terminal/table.js';
import { analyze } from './analyze-model.js';
import { download, upload } from './model-files.js';
import { rollBackFlags, rollBackOf, rollBackText } from './roll-back-flags.js';
import { shadowFlags, shadowOf, shadowText } from './shadow-flags.js';
import { comparisonText } from './shadow-text.js';

const flags = { ...connectionFlags, json: { type: 'boolean' } } as const;

const actions = { list, get, upload, download, report, analyze, label, unlabel, shadow, promote, delete: remove };

export const models: Command = {
  name: 'models',
  summary: 'Lists models, their versions and labels; uploads, downloads, labels, promotes and deletes.',
  usage: `mill models [list]
mill models get MODEL
mill models upload MODEL FILE.onnx [--data FILE …]
mill models download MODEL VERSION [FILE.onnx]
mill models report MODEL VERSION
mill models analyze MODEL VERSION [--dataset NAME] [--rows 256] [--seconds 15]
mill models label MODEL LABEL VERSION[=WEIGHT] … [--roll-back-errors SHARE] [--roll-back-p50 TIMES] [--roll-back-p99 TIMES]
                   [--roll-back-after 200] [--on-trial VERSION] [--shadow VERSION] [--shadow-share 1]
mill models shadow MODEL LABEL
mill models unlabel MODEL LABEL
mill models promote MODEL LABEL [--baseline VERSION] [--max-drop 0.01] [--metric accuracy] [--minimize size_bytes]
mill models delete MODEL [VERSION]

  VERSION              a version number, or a label's name
  --data FILE          a file that the ONNX file keeps weights in
  --roll-back-errors SHARE
                       the version of less weight leaves the label when it fails so much more often than the other:
                       0.05 is 5 of 100
  --roll-back-p50 TIMES, --roll-back-p99 TIMES
                       or when its executions take so many times as long
  --roll-back-after N  requests to it that a decision takes
  --on-trial VERSION   the version that may leave, where it is not the one of less weight
  --shadow VERSION     runs the label's requests again after they are answered, for comparison alone; without it none does
  --shadow-share SHARE
                       so many of them: 0.2 is every fifth; 'models shadow' tells how its outputs compare
  --baseline VERSION   what accuracy is measured against, default the most accurate version
  --max-drop SHARE     how much accuracy or r2 may be lost, or by which share perplexity may rise: 0.01 is one point
  --metric NAME        accuracy, r2 or perplexity
  --minimize METRIC    size_bytes, p50_ms, p99_ms or parameters
  --dataset NAME       measures on training rows of it what each layer takes and how much it minds compression
  --seconds N          measures no other form of a layer after so long
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
  const all = await mill.registry.listModels();
  if (values.json) return printMessage(cli, 'modelmill.v1.ListModelsResponse', { models: all });
  if (all.length === 0) return cli.out.print('no models yet');
  const rows = all.map(({ name, versions, labels }) => [
    name,
    count(versions.length),
    labels.map(labelText).join(', '),
  ]);
  cli.out.print(table(['model', 'versions', 'labels'], rows, cli.out.paint.dim));
}

async function get(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [name] = words(positionals, 'MODEL');
  await using mill = await connect(values, cli);
  show(await mill.registry.getModel(name), values.json ?? false, cli);
}

async function report(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [name, version] = words(positionals, 'MODEL', 'VERSION');
  await using mill = await connect(values, cli);
  const { json, markdown } = await mill.registry.getReport(name, version);
  cli.out.print(values.json ? json : markdown);
}

async function label(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, { ...flags, ...rollBackFlags, ...shadowFlags });
  const [model, name, ...targets] = positionals;
  if (model === undefined || name === undefined || targets.length === 0) {
    throw new UsageError('MODEL, LABEL or VERSION is missing');
  }
  const wanted = { name, targets: targets.map(targetOf), rollBack: rollBackOf(values), shadow: shadowOf(values) };
  await using mill = await connect(values, cli);
  show(await mill.registry.setLabel(model, wanted), values.json ?? false, cli);
}

async function unlabel(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [model, name] = words(positionals, 'MODEL', 'LABEL');
  await using mill = await connect(values, cli);
  await mill.registry.deleteLabel(model, name);
  cli.out.print(`${model} has no label ${name} any more`);
}

async function shadow(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [model, name] = words(positionals, 'MODEL', 'LABEL');
  await using mill = await connect(values, cli);
  const comparison = await mill.serving.shadowComparison(model, name);
  if (values.json) return printMessage(cli, 'modelmill.v1.ShadowComparison', comparison);
  for (const line of comparisonText(comparison)) cli.out.print(line);
}

async function promote(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, {
    ...flags,
    baseline: { type: 'string', default: '' },
    'max-drop': { type: 'string', default: '0.01' },
    metric: { type: 'string', default: 'accuracy' },
    minimize: { type: 'string', default: 'size_bytes' },
  });
  const [model, name] = words(positionals, 'MODEL', 'LABEL');
  const maxAccuracyDrop = numberFlag('max-drop', values['max-drop'], { min: 0, max: 1 });
  await using mill = await connect(values, cli);
  const { baseline, metric, minimize } = values;
  const answer = await mill.registry.promoteVersion(model, name, { baseline, maxAccuracyDrop, metric, minimize });
  if (values.json) return printMessage(cli, 'modelmill.v1.PromoteVersionResponse', answer);
  for (const { version, eligible, reason } of answer.candidates) {
    cli.out.print(`  version ${version}: ${eligible ? reason : cli.out.paint.dim(reason)}`);
  }
  cli.out.print(`${name} now points at ${model} version ${answer.version}`);
}

async function remove(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [model, version] = words(positionals, 'MODEL', 'VERSION?');
  await using mill = await connect(values, cli);
  if (version === undefined) await mill.registry.deleteModel(model);
  else await mill.registry.deleteVersion(model, version);
  cli.out.print(`deleted ${model}${version === undefined ? '' : ` version ${version}`}`);
}

function show(model: registry.Model, asJson: boolean, cli: Cli): void {
  if (asJson) return printMessage(cli, 'modelmill.v1.Model', model);
  const labelsOf = (version: string) =>
    model.labels.filter(({ targets }) => targets.some((target) => target.version === version)).map(({ name }) => name);
  const rows = model.versions.map(({ version, state, lineage, metrics, sizeBytes, createdAt, rejectionReason }) => [
    version,
    rejectionReason === '' ? stateNames[state] : `rejected: ${rejectionReason}`,
    lineage?.method,
    figure(metrics['accuracy'], 4),
    bytes(sizeBytes),
    figure(metrics['p50_ms'], 3),
    figure(metrics['p99_ms'], 3),
    labelsOf(version).join(', '),
    age(createdAt, new Date()),
  ]);
  const header = ['version', 'state', 'made', 'accuracy', 'size', 'p50 ms', 'p99 ms', 'labels', 'age'];
  cli.out.print(table(header, rows, cli.out.paint.dim));
  for (const label of model.labels) {
    for (const line of [rollBackText(label), shadowText(label)]) if (line !== undefined) cli.out.print(line);
  }
}

const stateNames: Readonly<Record<registry.VersionState, string>> = {
  0: 'unknown',
  1: 'registered',
  2: 'admitted',
  3: 'rejected',
};

const labelText = ({ name, targets }: registry.Label) =>
  `${name} → ${targets.map(({ version, weight }) => (targets.length > 1 ? `${version} (${weight})` : version)).join(', ')}`;

function targetOf(text: string): registry.LabelTarget {
  const [version = '', weight] = text.split('=');
  return { version, weight: weight === undefined ? 1 : numberFlag('weight', weight, { min: 1, max: 1_000_000 }) };
}
