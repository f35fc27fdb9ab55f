import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { openDeviceReader } from './device-reader.js';
import { createSession, signatureOf } from './session.js';
import type { Provider } from './providers.js';
import type { SessionOptions } from './session.js';
import { typedFromOrt, typedToOrt } from './tensor.js';
import type { TensorSignature, TypedTensor } from './tensor.js';

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
  readonly other?: { readonly model: Uint8Array; readonly pairs: readonly StatePair[] };
}

type OrtTensors = Readonly<Record<string, Tensor>>;

/** A model in a session of its own. */
interface Form {
  readonly session: InferenceSession;
  readonly provider: Provider;
  readonly pairs: readonly StatePair[];
  readonly inputs: ReadonlySet<string>;
}

/** Opens a model of bytes; `setState` comes before the first run. */
export async function openStatefulSession(
  model: Uint8Array,
  pairs: readonly StatePair[],
  { other, ...options }: StatefulOptions = {},
): Promise<StatefulSession> {
  const open = async (bytes: Uint8Array, of: readonly StatePair[]): Promise<Form> => {
    const created = await createSession(bytes, { ...options, keptOnDevice: of.map(({ output }) => output) });
    return { ...created, pairs: of, inputs: new Set(created.session.inputNames) };
  };
  const form = await open(model, pairs);
  const otherForm = other && (await open(other.model, other.pairs));
  const taken = stateInputs(form.session, pairs);
  const reader = form.provider === 'webgpu' ? await openDeviceReader(taken) : undefined;
  let now: OrtTensors = {};
  let next: OrtTensors | undefined;

  return {
    provider: form.provider,
    async run(feeds, by = 'model') {
      const at = by === 'model' ? form : otherForm;
      if (at === undefined) throw new Error('a run by another model wants one to be opened with the session');
      drop(next); // of a run that was not followed
      next = undefined;
      const fed = Object.entries(feeds).map(([name, value]) => [name, typedToOrt(value)] as const);
      const all = [...Object.entries(now), ...fed].filter(([name]) => at.inputs.has(name));
      const results = await at.session.run(Object.fromEntries(all));
      next = Object.fromEntries(at.pairs.map(({ input, output }) => [input, results[output]!]));
      const isState = new Set(at.pairs.map(({ output }) => output));
      const others = Object.entries(results).filter(([name]) => !isState.has(name));
      return Object.fromEntries(others.map(([name, value]) => [name, typedFromOrt(value)]));
    },
    advance() {
      if (next === undefined) throw new Error('advance comes after a run');
      const replaced = Object.keys(next);
      drop(Object.fromEntries(replaced.map((name) => [name, now[name]!])));
      now = { ...now, ...next };
      next = undefined;
    },
    async state() {
      const here = reader ? await reader.read(now) : now;
      return Object.fromEntries(Object.entries(here).map(([name, value]) => [name, typedFromOrt(value)]));
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
      now = Object.fromEntries(taken.map(({ name }) => [name, typedToOrt(state[name]!)]));
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

/** Gives a device's memory back at once: the garbage collector does not see how much it is. */
function drop(tensors: OrtTensors | undefined): void {
  for (const tensor of Object.values(tensors ?? {})) if (tensor.location === 'gpu-buffer') tensor.dispose();
}
