import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { parseOptimizationSpec, parseTrainingSpec } from '@modelmill/client';
import type { Mill, optimizer } from '@modelmill/client';
import { passNames } from '../commands/optimize.js';
import { CliError } from '../cli-error.js';
import { digestOf } from '../digest-of.js';
import { followJobs, successOf } from '../follow-jobs.js';
import type { Mesh } from '../mesh/mesh.js';
import { readSpecs } from '../read-specs.js';
import { endLine } from '../run-specs.js';
import { bytes, count } from '../terminal/format.js';
import type { Screen } from '../terminal/screen.js';
import type { EventFeed } from './event-feed.js';
import { drawDigit, readDigit } from './example-digit.js';
import type { Outcome, Role, VersionFigures } from './outcome.js';
import { areEqual, askThreeDoors, likeliest } from './three-doors.js';

/** What the demo works with. */
export interface Demo {
  readonly root: string;
  readonly mesh: Mesh;
  readonly mill: Mill;
  readonly feed: EventFeed;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

const waitMs = 30_000;
const maxAccuracyDrop = 0.01;
const roleOf: Readonly<Record<string, Role>> = { quantize: 'int8', prune: 'pruned', distill: 'student' };

/** The main path, through the gateway only: data in, a trained, shrunk and served model out. */
export async function turnTheMill(demo: Demo): Promise<Omit<Outcome, 'seconds'>> {
  const { root, mill, feed, screen } = demo;
  const heading = (text: string) => screen.print(`\n${screen.paint.bold(text)}`);
  const examples = join(root, 'examples');

  heading('Data');
  const file = join(examples, 'data/digits.csv.gz');
  const read = () => createReadStream(file) as AsyncIterable<Uint8Array>;
  const dataset = await mill.datasets.upload({ dataset: 'digits', content: read(), sha256: await digestOf(read()) });
  const classes = dataset.schema?.classes.length ?? 0;
  screen.print(
    `digits version ${dataset.version}: ${count(dataset.rows)} handwritten digits, ${classes} classes, ${bytes(dataset.sizeBytes)}`,
  );

  heading('Training');
  const trained = await train(demo, examples);

  heading('Making it smaller');
  const made = await optimize(demo, examples, trained);
  const versions = await figuresOf(mill, { trained, ...made });
  await Promise.all(Object.values(made).map((version) => feed.heard(`model.digits.${version}.admitted`, waitMs)));

  heading('Choosing');
  const stable = await promote(demo, trained);
  await feed.heard(`model.digits.${stable.version}.ready`, waitMs);

  heading('Asking');
  return { versions, stable, ready: true, ...(await ask(demo, file)) };
}

async function train({ mill, feed, screen, signal }: Demo, examples: string): Promise<string> {
  const [spec] = await readSpecs(examples, 'digits-cnn.yaml', parseTrainingSpec);
  if (!spec) throw new CliError('examples/digits-cnn.yaml holds no spec');
  const plan = await mill.trainer.validate(spec);
  screen.print(
    `a network of ${plan.layers.length} layers and ${count(plan.parameters)} parameters, ${spec.epochs} epochs`,
  );
  const { status } = await mill.trainer.submit(spec);
  const updates = mill.trainer.watch(status?.jobId ?? '', { signal });
  const [ended] = await followJobs(screen, [{ title: 'train', updates }], (one) => screen.print(endLine(one)));
  const { version } = successOf(ended!);
  await feed.heard(`model.digits.${version}.admitted`, waitMs);
  return version;
}

/** Submits every optimization at once; the mesh decides what runs beside what. */
async function optimize(
  { mill, screen, signal }: Demo,
  examples: string,
  parent: string,
): Promise<Record<Exclude<Role, 'trained'>, string>> {
  const specs = await readSpecs(examples, 'digits-optimize.yaml', parseOptimizationSpec);
  const followed = await Promise.all(
    specs.map(async (spec) => {
      const { status } = await mill.optimizer.submit({ ...spec, version: parent });
      return { title: passNames(spec), updates: mill.optimizer.watch(status?.jobId ?? '', { signal }) };
    }),
  );
  const ended = await followJobs<optimizer.OptimizationJob>(screen, followed, (one) => screen.print(endLine(one)));
  const made = new Map(ended.map((one) => [roleOf[one.title], successOf(one).version]));
  const of = (role: Role) => {
    const version = made.get(role);
    if (version === undefined) throw new CliError(`examples/digits-optimize.yaml has no document for ${role}`);
    return version;
  };
  return { int8: of('int8'), pruned: of('pruned'), student: of('student') };
}

async function promote({ mill, screen }: Demo, baseline: string): Promise<Outcome['stable']> {
  const rule = `the smallest version that loses at most ${maxAccuracyDrop * 100} point of accuracy against version ${baseline} and is no slower than it`;
  screen.print(`the label 'stable' goes to ${rule}`);
  const answer = await mill.registry.promoteVersion('digits', 'stable', {
    baseline,
    maxAccuracyDrop,
    minimize: 'size_bytes',
    metric: 'accuracy',
  });
  for (const { version, eligible, reason } of answer.candidates) {
    screen.print(`  version ${version}: ${eligible ? reason : screen.paint.dim(reason)}`);
  }
  screen.print(`stable → digits version ${answer.version}`);
  return { version: answer.version, rule };
}

async function ask(
  { mesh, mill, screen }: Demo,
  file: string,
): Promise<Pick<Outcome, 'answers' | 'answersEqual' | 'example'>> {
  const example = readDigit(file, 0);
  const answers = await askThreeDoors({ mill, rest: mesh.rest, apiKey: mesh.apiKey }, 'digits', example.pixels);
  const beside = [
    '',
    ...answers.map(({ call, probabilities }) => {
      const digit = likeliest(probabilities);
      return `${call.padEnd(34)} ${screen.paint.bold(String(digit))}  ${screen.paint.dim(`probability ${probabilities[digit]}`)}`;
    }),
    '',
    areEqual(answers) ? 'all ten probabilities are equal' : screen.paint.red('the answers differ'),
  ];
  for (const [row, line] of drawDigit(example).entries()) screen.print(`  ${line}   ${beside[row] ?? ''}`.trimEnd());
  return {
    answersEqual: areEqual(answers),
    answers: answers.map(({ call, probabilities, version }) => ({ call, digit: likeliest(probabilities), version })),
    example,
  };
}

interface Measured {
  readonly accuracy: number;
  readonly parameters: number;
  readonly sparsity: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

/** The figures of every version as its report has them; the trained one is the parent in each of them. */
async function figuresOf(mill: Mill, made: Readonly<Record<Role, string>>): Promise<Record<Role, VersionFigures>> {
  const measured = async (version: string, report: string, side: 'parent' | 'candidate'): Promise<VersionFigures> => {
    const { json } = await mill.registry.getReport('digits', report);
    const figures = (JSON.parse(json) as Record<typeof side, Measured>)[side];
    const { lineage, sizeBytes } = await mill.registry.getVersion('digits', version);
    return {
      version,
      method: lineage?.method ?? '',
      accuracy: figures.accuracy,
      sizeBytes: Number(sizeBytes),
      parameters: figures.parameters,
      sparsity: figures.sparsity,
      p50Ms: figures.p50_ms,
      p99Ms: figures.p99_ms,
    };
  };
  const [trained, int8, pruned, student] = await Promise.all([
    measured(made.trained, made.int8, 'parent'),
    measured(made.int8, made.int8, 'candidate'),
    measured(made.pruned, made.pruned, 'candidate'),
    measured(made.student, made.student, 'candidate'),
  ]);
  return { trained, int8, pruned, student };
}
