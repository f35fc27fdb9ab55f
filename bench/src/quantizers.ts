import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { elementCount, onnxPieces, readOnnx } from '@modelmill/onnx';
import type { Tensor } from '@modelmill/onnx';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { Contest } from './alternate.js';
import { hasHandwriting, heldOut, learnHandwriting, someLearned } from './handwriting.js';
import type { HeldOut } from './handwriting.js';
import { noise, shapes } from './shapes.js';

const ourScript = fileURLToPath(new URL('quantize-main.js', import.meta.url));
const peerScript = fileURLToPath(new URL('../peers/ort_quantize.py', import.meta.url));
/** A Python that has onnxruntime, onnx and onnx_ir: MILL_BENCH_PYTHON, or the one on PATH. */
const python = process.env['MILL_BENCH_PYTHON'] ?? 'python3';

type Side = 'ours' | 'theirs';
type Form = 'static' | 'dynamic' | 'nbits4' | 'nbits8';

/** A network, and what it is calibrated on. */
interface Subject {
  readonly id: string;
  readonly words: string;
  /** Of one run. */
  readonly input: readonly number[];
  /** Asked for once. */
  readonly model: () => Promise<Uint8Array | Iterable<Uint8Array>>;
  readonly examples: () => Float32Array;
  /** Rows whose answers are known. */
  readonly held?: () => HeldOut;
}

const shaped = (id: keyof typeof shapes): Subject => ({
  id,
  ...shapes[id],
  model: async () => onnxPieces(shapes[id].build()),
  examples: () => noise(8 * elementCount(shapes[id].input), 1, 5),
});

const handwriting: Subject = {
  id: 'handwriting',
  words: 'a network that has learned handwritten digits',
  input: [1, 28, 28],
  model: learnHandwriting,
  examples: () => someLearned(256),
  held: heldOut,
};

const races: readonly (readonly [keyof typeof shapes, Form, string])[] = [
  ['resnet50', 'static', 'quantize_static, U8S8 per channel, MinMax of 8 images'],
  ['bert', 'static', 'quantize_static, U8S8 per channel, MinMax of 8 sequences'],
  ['bert', 'dynamic', 'quantize_dynamic'],
  ['bert', 'nbits4', 'MatMulNBits, 4 bits in blocks of 32'],
  ['bert', 'nbits8', 'MatMulNBits, 8 bits in blocks of 32'],
];

/** Two rows of 2,000, more or less, are luck. */
const fewRows = 0.999;

/** Of the trained network. */
const trainedRaces: readonly (readonly [Form, string])[] = [
  ['static', 'quantize_static, U8S8 per channel, MinMax of 256 images'],
  ['dynamic', 'quantize_dynamic'],
];

/** ONNX Runtime's version; undefined where its Python tools are not installed. */
function peerVersion(): string | undefined {
  try {
    const print = 'import onnx_ir, onnx, onnxruntime; print(onnxruntime.__version__)';
    return execFileSync(python, ['-c', print], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** The same network on the same examples by ONNX Runtime's own quantizers: time, memory, numbers and what is made of them. */
export function quantizerContests(folder: string): Contest[] {
  const version = peerVersion();
  if (version === undefined) {
    process.stderr.write(
      "the cases against ONNX Runtime's Python tools are skipped: needs onnxruntime, onnx and onnx_ir " +
        '(MILL_BENCH_PYTHON names a Python)\n',
    );
    return [];
  }
  const both = (figure: (side: Side) => Promise<number>) => ({
    ours: () => figure('ours'),
    theirs: () => figure('theirs'),
  });
  const learned = trainedRaces.flatMap(([form, words]): Contest[] => {
    const race = openRace(folder, handwriting, form);
    const of = `quantizing ${form}: ${handwriting.words}`;
    const common = { against: `${words}, onnxruntime ${version}` };
    return [
      { ...common, case: `${of}, right of 2,000`, unit: 'share', better: 'higher', goal: fewRows, ...both(race.right) },
      { ...common, case: `${of}, cross-entropy`, unit: 'nats', better: 'lower', goal: 1, ...both(race.loss) },
    ];
  });
  if (!hasHandwriting)
    process.stderr.write('the cases of handwritten digits are skipped: needs ../shared/data/mnist-10k\n');
  const random = races.flatMap(([name, form, words]): Contest[] => {
    const race = openRace(folder, shaped(name), form);
    const common = { against: `${words}, onnxruntime ${version}` };
    const of = `quantizing ${form}: ${shapes[name].words}`;
    return [
      { ...common, case: `${of}, time`, unit: 's', better: 'lower', goal: 1, ...both(race.seconds) },
      { ...common, case: `${of}, memory`, unit: 'MiB', better: 'lower', goal: 1, ...both(race.mebibytes) },
      { ...common, case: `${of}, equal numbers`, unit: 'share', better: 'higher', goal: 1, ...both(race.equal) },
      {
        ...common,
        case: `${of}, nearness to floats`,
        unit: 'dB',
        better: 'higher',
        goal: 0.99,
        ...both(race.decibels),
      },
      { ...common, case: `${of}, an answer`, unit: 'ms', better: 'lower', goal: 0.97, ...both(race.answer) },
    ];
  });
  return [...random, ...(hasHandwriting ? learned : [])];
}

interface Made {
  readonly seconds: number;
  readonly mebibytes: number;
}

/** Models by their paths: the races of one subject share it. */
const written = new Map<string, Promise<void>>();

function openRace(folder: string, subject: Subject, form: Form) {
  const { id, input } = subject;
  const file = (what: string) => join(folder, `${id}-${what}`);
  const paths = { source: file('float.onnx'), inputs: file('inputs.raw') };
  const targets = { ours: file(`${form}-ours.onnx`), theirs: file(`${form}-theirs.onnx`) };
  const made = new Map<Side, Made>();
  const sessions = new Map<string, InferenceSession>();

  async function write(): Promise<void> {
    await writeFile(paths.source, await subject.model());
    await writeFile(paths.inputs, new Uint8Array(subject.examples().buffer));
  }

  async function make(side: Side): Promise<Made> {
    const ready = written.get(paths.source) ?? write();
    written.set(paths.source, ready);
    await ready;
    const [command, script] = side === 'ours' ? [process.execPath, ourScript] : [python, peerScript];
    const args = [script, form, paths.source, targets[side], paths.inputs, ...input.map(String)];
    const said = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const result = JSON.parse(said.trim().split('\n').at(-1)!) as Made;
    made.set(side, result);
    return result;
  }
  const once = async (side: Side) => made.get(side) ?? (await make(side));

  const open = (path: string) =>
    InferenceSession.create(path, { executionProviders: ['cpu'], intraOpNumThreads: 1, logSeverityLevel: 3 });
  async function session(path: string): Promise<InferenceSession> {
    const opened = sessions.get(path) ?? (await open(path));
    sessions.set(path, opened);
    return opened;
  }
  async function runIn(opened: InferenceSession, values: Float32Array, sizes: readonly number[]) {
    const feeds = { [opened.inputNames[0]!]: new OrtTensor('float32', values, sizes) };
    const answers = await opened.run(feeds, opened.outputNames.slice(0, 1));
    return answers[opened.outputNames[0]!]!.data as Float32Array;
  }
  const run = async (path: string, values: Float32Array, sizes: readonly number[]) =>
    runIn(await session(path), values, sizes);
  const example = noise(elementCount(input), 1, 99);
  const answerOf = (path: string) => run(path, example, input);

  /** On rows whose answers are known: the share that is right, and the mean cross-entropy. */
  async function known(side: Side): Promise<Readonly<Record<'right' | 'loss', number>>> {
    await once(side);
    const { images, classes } = subject.held!();
    const answers = await run(targets[side], images, [classes.length, ...input.slice(1)]);
    const size = answers.length / classes.length;
    const rows = Array.from(classes, (wanted, i) => ({ wanted, of: answers.subarray(i * size, (i + 1) * size) }));
    return {
      right: rows.filter(({ wanted, of }) => of.indexOf(Math.max(...of)) === wanted).length / rows.length,
      loss: rows.reduce((sum, { wanted, of }) => sum - Math.log(Math.max(of[wanted]!, 1e-9)), 0) / rows.length,
    };
  }

  return {
    seconds: async (side: Side) => (await make(side)).seconds,
    mebibytes: async (side: Side) => (await once(side)).mebibytes,
    /** The share of what both have under one name that is the same to the bit. */
    async equal(side: Side): Promise<number> {
      if (side === 'theirs') return 1;
      const [ours, theirs] = await Promise.all(
        (['ours', 'theirs'] as const).map(async (one) => (await once(one), numbersIn(await readFile(targets[one])))),
      );
      const shared = [...ours!].filter(([of]) => theirs!.has(of));
      if (shared.length === 0) throw new Error(`the files of ${id} ${form} have no numbers under the same names`);
      return shared.filter(([of, bytes]) => bytes.equals(theirs!.get(of)!)).length / shared.length;
    },
    async decibels(side: Side): Promise<number> {
      await once(side);
      const [exact, got] = [await answerOf(paths.source), await answerOf(targets[side])];
      const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
      return 10 * Math.log10(power(exact) / power(exact.map((value, i) => value - got[i]!)));
    },
    /**
     * In a session of its own: of two that are open together the second answers up to 8 % faster, by where its weights lie.
     * The fastest of many: two files with the same graph differ by a tenth in medians of so few.
     */
    async answer(side: Side): Promise<number> {
      await once(side);
      const opened = await open(targets[side]);
      const times: number[] = [];
      for (let total = 0; total < 800; total += times.at(-1)!) {
        const start = performance.now();
        await runIn(opened, example, input);
        times.push(performance.now() - start);
      }
      await opened.release();
      return Math.min(...times);
    },
    right: async (side: Side) => (await known(side)).right,
    loss: async (side: Side) => (await known(side)).loss,
  };
}
/** ONNX Runtime's names of what lies in blocks of few bits. */
const inBlocks = /_Q[48]$/;

/** Scales, zero points and quantized matrices and kernels by their names: biases that theirs quantizes as values are left out. */
function numbersIn(file: Uint8Array): Map<string, Buffer> {
  const kept = [...readOnnx(file).graph.initializers.values()].filter(({ name, dims, dataType }: Tensor) =>
    /_quantized$|_blocks$|_Q[48]$/.test(name)
      ? dims.length > 1 && dataType !== 'float'
      : /_scales?$|_zero_points?$/.test(name),
  );
  return new Map(kept.map(({ name, bytes }) => [name.replace(inBlocks, '_blocks'), Buffer.from(bytes)]));
}
