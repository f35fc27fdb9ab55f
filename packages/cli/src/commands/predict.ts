import { CliError, UsageError } from '../cli-error.js';
import type { Datatype, InferResponse, Mill, OutputTensor } from '@modelmill/client';
import type { Cli, Command } from '../command.js';
import { connect, connectionFlags, connectionUsage } from '../connection.js';
import { printJson } from '../print-json.js';
import { readArgs } from '../read-args.js';
import { parseRows } from '../parse-rows.js';
import { table } from '../terminal/table.js';

export const predict: Command = {
  name: 'predict',
  summary: 'Asks a model about rows from the command line or from stdin.',
  usage: `mill predict MODEL [ROW …] [--version VERSION] [--json]

  ROW                  comma-separated values: one example; JSON such as '[[0, 1], [2, 3]]' holds several
                       none: rows are read from stdin, one per line (CSV or JSON)
  --version VERSION    a version number or a label's name; default: the server's choice
  --json               outputs as JSON
${connectionUsage}`,

  async run(args, cli) {
    const { values, positionals } = readArgs(args, {
      ...connectionFlags,
      version: { type: 'string', default: '' },
      json: { type: 'boolean' },
    });
    const [model, ...given] = positionals;
    if (model === undefined) throw new UsageError('MODEL is missing');
    const rows = parseRows(given.length > 0 ? given : await linesOf(cli));
    await using mill = await connect(values, cli);
    const answer = await ask(mill, model, values.version, rows);
    if (values.json) {
      const outputs = answer.outputs.map((output) => ({
        ...output,
        data: Array.from<unknown, unknown>(output.data, plain),
      }));
      return printJson(cli, { ...answer, outputs });
    }
    const classes = await classesOf(mill, answer);
    for (const output of answer.outputs) cli.out.print(outputTable(output, rows.length, classes, cli));
    cli.out.print(cli.out.paint.dim(`${answer.model} version ${answer.version}`));
  },
};

async function linesOf({ stdin }: Cli): Promise<string[]> {
  if (stdin.isTTY) throw new UsageError('ROW is missing, and nothing is piped in');
  let text = '';
  for await (const piece of stdin) text += piece.toString();
  return text.split('\n').filter((line) => line.trim() !== '');
}

async function ask(mill: Mill, model: string, version: string, rows: readonly number[][]): Promise<InferResponse> {
  const { inputs } = await mill.inference.modelMetadata(model, version);
  const [input] = inputs;
  if (!input || inputs.length > 1) throw new CliError(`${model} takes ${inputs.length} inputs; this command fills one`);
  const features = input.shape.slice(1).map(Number);
  const wanted = features.reduce((product, size) => product * size, 1);
  for (const [index, row] of rows.entries()) {
    if (features.every((size) => size > 0) && row.length !== wanted) {
      throw new CliError(`row ${index + 1} has ${row.length} values, ${model} takes ${wanted}`);
    }
  }
  const datatype = input.datatype as Datatype;
  const shape = [rows.length, ...(features.every((size) => size > 0) ? features : [rows[0]?.length ?? 0])];
  return mill.inference.infer({ model, version, inputs: [{ name: input.name, datatype, shape, data: rows.flat() }] });
}

/** The names of the classes, where the version was trained on a dataset that is still there. */
async function classesOf(mill: Mill, { model, version }: InferResponse): Promise<readonly string[]> {
  try {
    const { lineage } = await mill.registry.getVersion(model, version);
    if (!lineage?.dataset) return [];
    const { versions } = await mill.datasets.get(lineage.dataset);
    return versions.find((one) => one.version === lineage.datasetVersion)?.schema?.classes ?? [];
  } catch {
    return []; // the answer is there; without names, classes are shown by index
  }
}

/** One line per example: the likeliest class where outputs are probabilities, else the values. */
function outputTable(
  { name, shape, data }: OutputTensor,
  rows: number,
  classes: readonly string[],
  { out }: Cli,
): string {
  const width = data.length / rows;
  const cells = Array.from({ length: rows }, (_, row) =>
    Array.from<unknown, unknown>(data, plain).slice(row * width, (row + 1) * width),
  );
  if (name !== 'probabilities' || shape.length !== 2) {
    const shown = cells.map((values, row) => [row + 1, values.join(' ')]);
    return table(['row', name], shown, out.paint.dim);
  }
  const best = cells.map((values, row) => {
    const probabilities = values.map(Number);
    const top = probabilities.indexOf(Math.max(...probabilities));
    return [row + 1, classes[top] ?? top, (probabilities[top] ?? NaN).toFixed(4)];
  });
  return table(['row', 'class', 'probability'], best, out.paint.dim);
}

const plain = (value: unknown) => (typeof value === 'bigint' ? Number(value) : value);
