import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { floatTensor, intsOf, readOnnx } from '@modelmill/onnx';
import type { Model, Tensor } from '@modelmill/onnx';
import type { Session, TypedTensor } from '@modelmill/runtime';
import { root } from './house/run-tool.js';

const folder = resolve(root, '../shared/data/onnx-models');

/** One of the models of the ONNX project's backend tests. */
export interface ModelFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What goes in and what comes out, as the project published it. */
  readonly published: () => { readonly inputs: Tensor[]; readonly outputs: Tensor[] };
}

/** Empty where the folder is missing. */
export const modelFiles: readonly ModelFile[] = existsSync(folder)
  ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.onnx'))
      .sort()
      .map((path) => modelFile(join(folder, path)))
  : [];

/** A light model's weights were replaced by their sizes: these are others, of sizes that keep numbers near 1. */
export function withWeights(model: Model): Model {
  const { graph } = model;
  graph.inputs = fedInputs(graph);
  const offsets = new Set(
    graph.nodes.flatMap(({ opType, inputs }) =>
      opType === 'BatchNormalization' ? inputs.slice(2, 4) : ['Conv', 'Gemm'].includes(opType) ? inputs.slice(2) : [],
    ),
  );
  const sizeOnly = graph.nodes.filter(({ opType }) => opType === 'ConstantOfShape');
  const random = randomNumbers();
  for (const { inputs, outputs } of sizeOnly) {
    const [name] = outputs as [string];
    const dims = intsOf(graph.initializers.get(inputs[0]!)!);
    const rows = dims.slice(1).reduce((product, size) => product * size, 1);
    const [mean, spread] = dims.length > 1 ? [0, Math.sqrt(3 / rows)] : [offsets.has(name) ? 0 : 1, 0.1];
    const values = Float32Array.from({ length: rows * (dims[0] ?? 1) }, () => mean + spread * random());
    graph.initializers.set(name, floatTensor(name, dims, values));
  }
  graph.nodes = graph.nodes.filter((node) => !sizeOnly.includes(node));
  for (const { inputs } of sizeOnly) graph.initializers.delete(inputs[0]!);
  return { ...model, irVersion: Math.max(model.irVersion, 4) };
}

/** From -1 to 1, the same every time (the minimal standard generator of Park and Miller). */
function randomNumbers(): () => number {
  let state = 1;
  return () => (2 * (state = (state * 48_271) % 2_147_483_647)) / 2_147_483_647 - 1;
}

/** One test per model, or a word on why there is none. */
export function itEachModel(
  sentence: string,
  files: readonly ModelFile[],
  test: (file: ModelFile) => void | Promise<void>,
): void {
  if (modelFiles.length === 0) it.skip(`${sentence} (skipped: needs ../shared/data/onnx-models)`, () => undefined);
  else it.each(files.map((file) => [file.name, file] as const))(`%s ${sentence}`, (_, file) => test(file));
}

function modelFile(path: string): ModelFile {
  const bytes = readFileSync(path);
  if (basename(path) !== 'model.onnx') {
    const name = basename(path, '.onnx');
    const output = join(dirname(path), `${name}_output_0.pb`);
    return { name, bytes, published: () => ({ inputs: [ramp(readOnnx(bytes))], outputs: [readTensor(output)] }) };
  }
  const data = join(dirname(path), 'test_data_set_0');
  const tensors = (kind: string) =>
    readdirSync(data)
      .filter((name) => name.startsWith(kind))
      .sort()
      .map((name) => readTensor(join(data, name)));
  return {
    name: basename(dirname(path)),
    bytes,
    published: () => ({ inputs: tensors('input'), outputs: tensors('output') }),
  };
}

/** The light models have no input files: their outputs were computed from 0/n, 1/n, …, (n-1)/n. */
function ramp({ graph }: Model): Tensor {
  const input = fedInputs(graph)[0]!;
  const dims = input.shape as number[];
  const n = dims.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array(Float32Array.from({ length: n }, (_, i) => i / n).buffer);
  return { name: input.name, dataType: 'float', dims, bytes };
}

/** A lone TensorProto, read as the one initializer of a model around it. */
function readTensor(path: string): Tensor {
  const tensor = withLength(5, readFileSync(path));
  const model = Buffer.concat([withLength(7, tensor), withLength(8, Buffer.of(0x10, 7))]);
  const [[, read] = []] = readOnnx(model).graph.initializers;
  return read!;
}

/** A field of bytes: its tag, its length as a varint, itself. */
function withLength(field: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest > 127; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128);
  return Buffer.concat([Buffer.of(field * 8 + 2, ...length, rest), bytes]);
}

export const fedInputs = ({ inputs, initializers }: Model['graph']) =>
  inputs.filter(({ name }) => !initializers.has(name));

/** ONNX Runtime has no arithmetic of operator set 6; that of 7 does the same, and always broadcasts. */
export function lift({ opsets, graph }: Model) {
  opsets.set('', 7);
  for (const { attributes } of graph.nodes) if (attributes.delete('broadcast')) attributes.delete('axis');
}

/** Runs the session on tensors in the order of its inputs; its outputs in order. */
export async function runOn(session: Session, inputs: readonly Tensor[]): Promise<TypedTensor[]> {
  const results = await session.run(
    Object.fromEntries(session.inputs.map(({ name }, i) => [name, typed(inputs[i]!)] as const)),
  );
  return session.outputs.map(({ name }) => results[name]!);
}

/** A tensor as the runtime takes it. */
export function typed({ dataType, dims, bytes }: Tensor): TypedTensor {
  const { buffer } = Uint8Array.from(bytes);
  switch (dataType) {
    case 'float':
      return { dims, data: new Float32Array(buffer) };
    case 'double':
      return { dims, data: new Float64Array(buffer) };
    case 'int64':
      return { dims, data: new BigInt64Array(buffer) };
    case 'string':
      return { dims, data: strings(bytes) };
    default:
      throw new Error(`no model of the folder has ${dataType} inputs or outputs`);
  }
}

function strings(bytes: Uint8Array): string[] {
  const from = Buffer.from(bytes);
  const found: string[] = [];
  for (let at = 0; at < from.length; at += 4 + from.readUInt32LE(at)) {
    found.push(from.toString('utf8', at + 4, at + 4 + from.readUInt32LE(at)));
  }
  return found;
}

/** Strings and integers equal; floats to a part in a thousand, as the ONNX project compares them, or to what is given. */
export function expectClose(got: TypedTensor['data'], wanted: TypedTensor['data'], share = 1e-3, least = 1e-7): void {
  expect(got).toHaveLength(wanted.length);
  const far = [...wanted]
    .map((value, i) => [got[i]!, value] as const)
    .filter(([a, b]) => !Object.is(a, b) && !(Math.abs(Number(a) - Number(b)) <= least + share * Math.abs(Number(b))));
  expect(far).toEqual([]);
}
