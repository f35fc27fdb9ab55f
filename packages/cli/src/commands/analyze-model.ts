import type { optimizer } from '@modelmill/client';
import type { Cli } from '../command.js';
import { connect, connectionFlags } from '../connection.js';
import { printMessage } from '../print-json.js';
import { numberFlag, readArgs, words } from '../read-args.js';
import { bytes, count } from '../terminal/format.js';
import { table } from '../terminal/table.js';
import type { Cell } from '../terminal/table.js';

const flags = {
  ...connectionFlags,
  json: { type: 'boolean' },
  dataset: { type: 'string', default: '' },
  rows: { type: 'string', default: '256' },
  seconds: { type: 'string', default: '15' },
} as const;

/** What each layer weighs and, with a dataset, takes and minds; and advice. */
export async function analyze(args: readonly string[], cli: Cli): Promise<void> {
  const { values, positionals } = readArgs(args, flags);
  const [name, version] = words(positionals, 'MODEL', 'VERSION');
  const rows = numberFlag('rows', values.rows, { min: 1, max: 100_000 });
  const timeBudgetSeconds = numberFlag('seconds', values.seconds, { min: 1, max: 3600 });
  await using mill = await connect(values, cli);
  const { dataset } = values;
  const analysis = await mill.optimizer.analyze(name, version, dataset ? { dataset, rows, timeBudgetSeconds } : {}, {
    signal: cli.signal,
  });
  if (values.json) return printMessage(cli, 'modelmill.v1.AnalyzeModelResponse', analysis);
  const { dim } = cli.out.paint;
  cli.out.print(table(['node', 'operator', 'weights', 'share', 'zeros', 'multiply-adds'], weighed(analysis), dim));
  if (analysis.basis) {
    cli.out.print(`\n${minding(analysis, dim)}\n\n${whole(analysis, analysis.basis, dim)}`);
  }
  for (const advice of analysis.advice)
    cli.out.print(`\n${cli.out.isTerminal ? wrapped(advice, cli.out.columns) : advice}`);
}

const weighed = ({ layers }: optimizer.AnalyzeModelResponse): Cell[][] =>
  layers.map(({ node, opType, parameters, share, sparsity, multiplyAdds }) => [
    node,
    opType,
    count(parameters),
    percent(share),
    percent(sparsity),
    count(multiplyAdds),
  ]);

type Dim = (text: string) => string;

const formNames: Readonly<Record<string, string>> = {
  int8: 'int8',
  int8_dynamic: 'int8 dynamic',
  int4: 'int4',
  zeros_50: '50 % zeros',
  zeros_90: '90 % zeros',
};
const layerForms = ['int8', 'int4', 'zeros_50', 'zeros_90'] as const;

/** What each layer takes, and what accuracy becomes where it alone is compressed. */
function minding({ layers }: optimizer.AnalyzeModelResponse, dim: Dim): string {
  const header = ['node', 'time', 'float ms', 'int8 ms', ...layerForms.map((form) => `${formNames[form]} alone`)];
  const rows = layers
    .filter(({ forms, floatMs }) => forms.length > 0 || floatMs > 0)
    .map(({ node, floatShare, floatMs, int8Ms, forms }) => [
      node,
      percent(floatShare),
      milliseconds(floatMs),
      milliseconds(int8Ms),
      ...layerForms.map((form) => costs(forms.find((one) => one.form === form))),
    ]);
  return table(header, rows, dim);
}

/** Every layer at once. */
function whole(
  { forms }: optimizer.AnalyzeModelResponse,
  { rows, metric, value, p50Ms, cpu, unmeasured }: optimizer.AnalysisBasis,
  dim: Dim,
): string {
  const shown = table(
    ['all layers', metric, 'SQNR', 'p50 ms', 'size'],
    [
      ['as it is', value.toFixed(4), '', milliseconds(p50Ms), ''],
      ...forms.map((form) => [
        formNames[form.form] ?? form.form,
        points(-form.drop),
        `${form.sqnrDb.toFixed(1)} dB`,
        milliseconds(form.p50Ms),
        bytes(form.sizeBytes),
      ]),
    ],
    dim,
  );
  const left = unmeasured > 0n ? `; no time was left for ${unmeasured} forms of single layers` : '';
  return `${shown}\n${dim(`on ${rows} training examples, drops in percent, one thread of ${cpu}${left}`)}`;
}

const costs = (form: optimizer.FormAnalysis | undefined) =>
  form && `${points(-form.drop)}, ${form.sqnrDb.toFixed(1)} dB`;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const milliseconds = (value: number) => (value === 0 ? '' : value.toFixed(4));
const points = (change: number) => `${change < 0 ? '-' : '+'}${(100 * Math.abs(change)).toFixed(2)}`;

/** Broken between words. */
function wrapped(text: string, columns: number): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!;
    if (last !== '' && last.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}
