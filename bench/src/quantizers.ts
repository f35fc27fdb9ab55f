import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { elementCount, onnxPieces, readOnnx } from '@modelmill/onnx';
import type { Tensor } from '@modelmill/onnx';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { median } from './alternate.js';
import type { Contest } from './alternate.js';
import { noise, shapes } from './shapes.js';

const ourScript = fileURLToPath(new URL('quantize-main.js', import.meta.url));
const peerScript = fileURLToPath(new URL('../peers/ort_quantize.py', import.meta.url));
/** A Python that has onnxruntime, onnx and onnx_ir: MILL_BENCH_PYTHON, or the one on PATH. */
const python = process.env['MILL_BENCH_PYTHON'] ?? 'python3';

type Side = 'ours' | 'theirs';
type Form = 'static' | 'dynamic' | 'nbits4' | 'nbits8';

const races: readonly (readonly [keyof typeof shapes, Form, string])[] = [
  ['resnet50', 'static', 'quantize_static, U8S8 per channel, MinMax of 8 images'],
  ['bert', 'static', 'quantize_static, U8S8 per channel, MinMax of 8 sequences'],
  ['bert', 'dynamic', 'quantize_dynamic'],
  ['bert', 'nbits4', 'MatMulNBits, 4 bits in blocks of 32'],
  ['bert', 'nbits8', 'MatMulNBits, 8 bits in blocks of 32'],
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
  return races.flatMap(([name, form, words]): Contest[] => {
    const race = openRace(folder, name, form);
    const common = { against: `${words}, onnxruntime ${version}` };
    const of = `quantizing ${form}: ${shapes[name].words}`;
    const both = (figure: (side: Side) => Promise<number>) => ({
      ours: () => figure('ours'),
      theirs: () => figure('theirs'),
    });
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
}

interface Made {
  readonly seconds: number;
  readonly mebibytes: number;
}

function openRace(folder: string, name: keyof typeof shapes, form: Form) {
  const shape = shapes[name];
  const file = (what: string) => join(folder, `${name}-${what}`);
  const paths = { source: file('float.onnx'), inputs: file('inputs.raw') };
  const targets = { ours: file(`${form}-ours.onnx`), theirs: file(`${form}-theirs.onnx`) };
  const made = new Map<Side, Made>();
  const sessions = new Map<string, InferenceSession>();
  let written = false;

  async function make(side: Side): Promise<Made> {
    if (!written) {
      await writeFile(paths.source, onnxPieces(shape.build()));
      await writeFile(paths.inputs, new Uint8Array(noise(8 * elementCount(shape.input), 1, 5).buffer));
      written = true;
    }
    const [command, script] = side === 'ours' ? [process.execPath, ourScript] : [python, peerScript];
    const args = [script, form, paths.source, targets[side], paths.inputs, ...shape.input.map(String)];
    const said = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const result = JSON.parse(said.trim().split('\n').at(-1)!) as Made;
    made.set(side, result);
    return result;
  }
  const once = async (side: Side) => made.get(side) ?? (await make(side));

  async function session(path: string): Promise<InferenceSession> {
    const options = { executionProviders: ['cpu'], intraOpNumThreads: 1, logSeverityLevel: 3 } as const;
    const opened = sessions.get(path) ?? (await InferenceSession.create(path, options));
    sessions.set(path, opened);
    return opened;
  }
  const example = () => new OrtTensor('float32', noise(elementCount(shape.input), 1, 99), shape.input);
  async function answerOf(path: string): Promise<Float32Array> {
    const [value] = Object.values(await (await session(path)).run({ x: example() }));
    return value!.data as Float32Array;
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
      if (shared.length === 0) throw new Error(`the files of ${name} ${form} have no numbers under the same names`);
      return shared.filter(([of, bytes]) => bytes.equals(theirs!.get(of)!)).length / shared.length;
    },
    async decibels(side: Side): Promise<number> {
      await once(side);
      const [exact, got] = [await answerOf(paths.source), await answerOf(targets[side])];
      const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
      return 10 * Math.log10(power(exact) / power(exact.map((value, i) => value - got[i]!)));
    },
    async answer(side: Side): Promise<number> {
      await once(side);
      const opened = await session(targets[side]);
      const times: number[] = [];
      for (let total = 0; total < 400; total += times.at(-1)!) {
        const start = performance.now();
        await opened.run({ x: example() });
        times.push(performance.now() - start);
      }
      return median(times);
    },
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
