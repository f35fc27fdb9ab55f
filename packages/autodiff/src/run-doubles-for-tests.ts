import { emptyGraph, topologicallySorted, writeOnnx } from '@modelmill/onnx';
import type { Model, Node, Tensor } from '@modelmill/onnx';
import { InferenceSession, Tensor as Fed } from 'onnxruntime-node';
import { doubleKernels } from './double-kernels-for-tests.js';
import type { KernelQuestion, Numbers } from './double-kernel-for-tests.js';
import { inDoubles } from './doubles-for-tests.js';

export type DoubleFeeds = Readonly<Record<string, Numbers>>;
/** Positions and class indices among them, which stay whole numbers. */
export type MixedFeeds = Readonly<
  Record<string, Numbers | { readonly dims: readonly number[]; readonly data: BigInt64Array }>
>;
export type DoubleRun<Feeds = DoubleFeeds> = (feeds: Feeds) => Promise<DoubleFeeds>;

const options = { logSeverityLevel: 4, intraOpNumThreads: 1, graphOptimizationLevel: 'disabled' } as const;
const noKernel =
  /NOT_IMPLEMENTED|not implemented|Could not find an implementation|is invalid|INVALID_GRAPH|Type Error|kernel/i;

/**
 * A model of floats computed in doubles: by ONNX Runtime where it has every kernel in doubles, else node by node, those
 * it has in floats only by the kernels of double-kernels-for-tests.ts.
 */
export async function runnableInDoubles(model: Model): Promise<DoubleRun<MixedFeeds>> {
  const double = inDoubles(model);
  const byHand = double.graph.nodes.some(({ opType }) => Object.hasOwn(doubleKernels, opType));
  try {
    if (!byHand) return await whole(double);
  } catch (error) {
    if (!noKernel.test(String(error))) throw error;
  }
  return nodeByNode(double);
}

async function whole(model: Model): Promise<DoubleRun<MixedFeeds>> {
  const session = await InferenceSession.create(writeOnnx(model), options);
  return async (feeds) => {
    const fed = Object.entries(feeds).map(([name, x]) => [name, tensorOf(x)] as const);
    return resultsOf(await session.run(Object.fromEntries(fed)));
  };
}

async function nodeByNode(model: Model): Promise<DoubleRun<MixedFeeds>> {
  const { graph } = model;
  const steps = await Promise.all(
    topologicallySorted(graph).map(async (node) => [node, await stepOf(node, model)] as const),
  );
  const constants = new Map([...graph.initializers].map(([name, tensor]) => [name, fedOf(tensor)]));
  return async (feeds) => {
    const values = new Map(constants);
    for (const [name, x] of Object.entries(feeds)) values.set(name, tensorOf(x));
    for (const [node, step] of steps) {
      const made = await step(node.inputs.map((name) => (name === '' ? undefined : values.get(name))));
      made.forEach((value, i) => value && values.set(node.outputs[i]!, value));
    }
    return resultsOf(Object.fromEntries(graph.outputs.map(({ name }) => [name, values.get(name)!])));
  };
}

type Step = (x: readonly (Fed | undefined)[]) => Promise<readonly (Fed | undefined)[]>;

async function stepOf(node: Node, model: Model): Promise<Step> {
  const kernel = Object.hasOwn(doubleKernels, node.opType) ? doubleKernels[node.opType] : undefined;
  if (kernel) {
    const question = questionOf(node, model.opsets.get('') ?? 18);
    return async (x) =>
      Promise.resolve(
        kernel({ ...question, x: x.map((one) => one && numbersOf(one)) }).map(
          ({ dims, data }) => new Fed('float64', data, dims),
        ),
      );
  }
  // what types its inputs have is known at the first run
  let session: InferenceSession | undefined;
  return async (x) => {
    session ??= await alone(node, x, model);
    const feeds = node.inputs.flatMap((name, i) => (x[i] ? [[name, x[i]] as const] : []));
    const made = await session.run(Object.fromEntries(feeds));
    return node.outputs.map((name) => made[name]);
  };
}

async function alone(node: Node, x: readonly (Fed | undefined)[], model: Model): Promise<InferenceSession> {
  const graph = emptyGraph(node.opType);
  graph.nodes.push(node);
  for (const [i, name] of node.inputs.entries()) {
    const type = x[i]?.type;
    if (type === undefined || graph.inputs.some((input) => input.name === name)) continue;
    const dataType = type === 'float64' ? 'double' : type === 'float32' ? 'float' : type;
    graph.inputs.push({ name, dataType: dataType as 'double', shape: x[i]!.dims });
  }
  const made = node.outputs.filter((name) => name !== '');
  graph.outputs = made.map((name) => ({ name, dataType: undefined, shape: undefined, opaque: new Uint8Array() }));
  try {
    return await InferenceSession.create(writeOnnx({ ...model, graph }), options);
  } catch (error) {
    throw new Error(`no kernel in doubles for ${node.opType}`, { cause: error });
  }
}

function questionOf({ opType, attributes }: Node, opset: number): Omit<KernelQuestion, 'x'> {
  const valueOf = <T>(name: string, kind: string, otherwise: T): T => {
    const found = attributes.get(name);
    return found?.kind === kind ? (found as unknown as { value: T }).value : otherwise;
  };
  return {
    opType,
    opset,
    attributes,
    int: (name, otherwise) => valueOf(name, 'int', otherwise),
    float: (name, otherwise) => valueOf(name, 'float', otherwise),
    list: (name, otherwise) => valueOf(name, 'ints', otherwise),
    word: (name, otherwise) => valueOf(name, 'string', otherwise),
  };
}

const tensorOf = ({ dims, data }: MixedFeeds[string]): Fed =>
  data instanceof BigInt64Array ? new Fed('int64', data, dims) : new Fed('float64', data, dims);

const numbersOf = ({ dims, data }: Fed): Numbers => ({
  dims,
  data: data instanceof Float64Array ? data : Float64Array.from(data as ArrayLike<number | bigint>, Number),
});

const resultsOf = (outputs: Readonly<Record<string, Fed>>) =>
  Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, numbersOf(value)]));

function fedOf({ dataType, dims, bytes }: Tensor): Fed {
  const { buffer } = bytes.slice();
  switch (dataType) {
    case 'double':
      return new Fed('float64', new Float64Array(buffer), dims);
    case 'float':
      return new Fed('float32', new Float32Array(buffer), dims);
    case 'int64':
      return new Fed('int64', new BigInt64Array(buffer), dims);
    case 'int32':
      return new Fed('int32', new Int32Array(buffer), dims);
    case 'bool':
      return new Fed('bool', new Uint8Array(buffer), dims);
    default:
      throw new Error(`constants of ${dataType} are not fed`);
  }
}
