import { writeOnnx } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { openDeviceReader } from './device-reader.js';
import { createSession, signatureOf } from './session.js';
import type { Provider } from './providers.js';
import type { SessionOptions } from './session.js';
import { toOrt, typedFromOrt, typedToOrt } from './tensor.js';
import type { TensorSignature, TypedTensor } from './tensor.js';
import { runUncopied, uncopied } from './uncopied-run.js';
import { zeroInputs } from './zero-inputs.js';

/** An output that is the input of the next run: float32, of a fixed shape. */
export interface StatePair {
  readonly input: string;
  readonly output: string;
}

type Tensors = Readonly<Record<string, TypedTensor>>;

/**
 * A model whose runs build on each other. Its state lies where the provider works: on WebGPU in the device's memory, and
 * only `state` brings it here. `run` blocks the event loop, so this belongs in a child process.
 */
export interface StatefulSession extends AsyncDisposable {
  readonly provider: Provider;
  /**
   * Every output but the state, by the model or by the other one. Feeds that it does not take are left out. The state stays
   * as it is until `advance`.
   */
  run(feeds: Tensors, by?: 'model' | 'other'): Promise<Record<string, TypedTensor>>;
  /** Makes the last run's state the one the next run begins with; what that run does not give stays. */
  advance(): void;
  /** By the names of the inputs. */
  state(): Promise<Record<string, TypedTensor>>;
  setState(state: Tensors): void;
}

export interface StatefulOptions extends Omit<SessionOptions, 'keptOnDevice'> {
  /** Another model that works on the same state, all of it or some. */
  readonly other?: { readonly model: Model; readonly pairs: readonly StatePair[] };
}

type OrtTensors = Readonly<Record<string, Tensor>>;

/** A model in a session of its own. */
interface Form {
  readonly session: InferenceSession;
  readonly provider: Provider;
  readonly pairs: readonly StatePair[];
  readonly inputs: ReadonlySet<string>;
  /** Every output; those of the state in the room that there is for them, by the names of the inputs. */
  compute(inputs: OrtTensors, room: OrtTensors | undefined): Promise<OrtTensors>;
}

/** Opens a model; `setState` comes before the first run. */
export async function openStatefulSession(
  model: Model,
  pairs: readonly StatePair[],
  { other, ...options }: StatefulOptions = {},
): Promise<StatefulSession> {
  const isInPlace =
    options.providers?.join() === 'cpu' && [model, ...(other ? [other.model] : [])].every(canBeUncopied);
  const form = await openForm(model, pairs, options, isInPlace);
  const otherForm = other && (await openForm(other.model, other.pairs, options, isInPlace));
  const taken = stateInputs(form.session, pairs);
  const reader = form.provider === 'webgpu' ? await openDeviceReader(taken) : undefined;
  let now: OrtTensors = {};
  let next: OrtTensors | undefined;
  /** Where the state before the last one lay, and the next one goes. */
  let spare = isInPlace ? emptyTensors(taken) : undefined;

  return {
    provider: form.provider,
    async run(feeds, by = 'model') {
      const at = by === 'model' ? form : otherForm;
      if (at === undefined) throw new Error('a run by another model wants one to be opened with the session');
      drop(next); // of a run that was not followed
      next = undefined;
      const fed = Object.entries(feeds).map(([name, value]) => [name, typedToOrt(value)] as const);
      const all = [...Object.entries(now), ...fed].filter(([name]) => at.inputs.has(name));
      const results = await at.compute(Object.fromEntries(all), spare);
      next = Object.fromEntries(at.pairs.map(({ input, output }) => [input, results[output]!]));
      const isState = new Set(at.pairs.map(({ output }) => output));
      const others = Object.entries(results).filter(([name]) => !isState.has(name));
      return Object.fromEntries(others.map(([name, value]) => [name, typedFromOrt(value)]));
    },
    advance() {
      if (next === undefined) throw new Error('advance comes after a run');
      const replaced = Object.fromEntries(Object.keys(next).map((name) => [name, now[name]!]));
      if (spare) spare = { ...spare, ...replaced };
      else drop(replaced);
      now = { ...now, ...next };
      next = undefined;
    },
    async state() {
      const here = reader ? await reader.read(now) : now;
      const told = Object.entries(here).map(([name, value]) => [name, typedFromOrt(value)] as const);
      return Object.fromEntries(spare ? told.map(([name, value]) => [name, copyOf(value)]) : told);
    },
    setState(state) {
      for (const { name, shape } of taken) {
        const got = state[name];
        if (got?.dims.join() === shape.join()) continue;
        throw new Error(`state '${name}' is ${got ? `[${got.dims}]` : 'missing'}, wants [${shape}]`);
      }
      drop(next);
      drop(now);
      next = undefined;
      now = Object.fromEntries(
        taken.map(({ name }) => [name, typedToOrt(spare ? copyOf(state[name]!) : state[name]!)] as const),
      );
    },
    async [Symbol.asyncDispose]() {
      drop(next);
      drop(now);
      await reader?.[Symbol.asyncDispose]();
      await otherForm?.session.release();
      await form.session.release();
    },
  };
}

function stateInputs(session: InferenceSession, pairs: readonly StatePair[]): TensorSignature[] {
  const inputs = new Map(signatureOf(session).inputs.map((input) => [input.name, input]));
  return pairs.map(({ input }) => {
    const found = inputs.get(input);
    if (found === undefined) throw new Error(`state '${input}' is no input of the model`);
    if (found.datatype !== 'FP32') throw new Error(`state '${input}' is ${found.datatype}, wants FP32`);
    return found;
  });
}

async function openForm(
  model: Model,
  pairs: readonly StatePair[],
  options: Omit<SessionOptions, 'keptOnDevice'>,
  isInPlace: boolean,
): Promise<Form> {
  const bytes = isInPlace ? uncopied(writeOnnx(model)) : writeOnnx(model);
  const created = await createSession(bytes, { ...options, keptOnDevice: pairs.map(({ output }) => output) });
  const { session } = created;
  const form = { ...created, pairs, inputs: new Set(session.inputNames) };
  if (!isInPlace) return { ...form, compute: (inputs) => session.run(inputs) };
  const isState = new Set(pairs.map(({ output }) => output));
  const others = signatureOf(session).outputs.filter(({ name }) => !isState.has(name));
  return {
    ...form,
    async compute(inputs, room) {
      const states = pairs.map(({ input, output }) => [output, room![input]!] as const);
      const outputs = { ...Object.fromEntries(states), ...emptyTensors(others) };
      await runUncopied(session, inputs, outputs);
      return outputs;
    },
  };
}

/** Whether it is known how large its outputs are, and ONNX Runtime writes them where they are wanted. */
function canBeUncopied({ graph, opsets }: Model): boolean {
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const isSized = ({ shape }: Model['graph']['outputs'][number]) => shape?.every((size) => typeof size === 'number');
  return (opsets.get('') ?? 0) >= 11 && graph.outputs.every((output) => isSized(output) && !inputs.has(output.name));
}

const emptyTensors = (of: readonly TensorSignature[]): OrtTensors =>
  Object.fromEntries([...zeroInputs(of)].map(([name, zeros]) => [name, toOrt(zeros)]));

const copyOf = ({ data, ...more }: TypedTensor): TypedTensor => ({ ...more, data: data.slice() });

/** Gives a device's memory back at once: the garbage collector does not see how much it is. */
function drop(tensors: OrtTensors | undefined): void {
  for (const tensor of Object.values(tensors ?? {})) if (tensor.location === 'gpu-buffer') tensor.dispose();
}
