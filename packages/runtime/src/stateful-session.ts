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
  /** Every output but the state. The state stays as it is until `advance`. */
  run(feeds: Tensors): Promise<Record<string, TypedTensor>>;
  /** Makes the last run's state the one the next run begins with. */
  advance(): void;
  /** By the names of the inputs. */
  state(): Promise<Record<string, TypedTensor>>;
  setState(state: Tensors): void;
}

/** Opens a model of bytes; `setState` comes before the first run. */
export async function openStatefulSession(
  model: Uint8Array,
  pairs: readonly StatePair[],
  options: Omit<SessionOptions, 'keptOnDevice'> = {},
): Promise<StatefulSession> {
  const keptOnDevice = pairs.map(({ output }) => output);
  const { session, provider } = await createSession(model, { ...options, keptOnDevice });
  const taken = stateInputs(session, pairs);
  const reader = provider === 'webgpu' ? await openDeviceReader(taken) : undefined;
  let now: Readonly<Record<string, Tensor>> = {};
  let next: Readonly<Record<string, Tensor>> | undefined;

  return {
    provider,
    async run(feeds) {
      drop(next); // of a run that was not followed
      next = undefined;
      const fed = Object.entries(feeds).map(([name, value]) => [name, typedToOrt(value)] as const);
      const results = await session.run({ ...now, ...Object.fromEntries(fed) });
      next = Object.fromEntries(pairs.map(({ input, output }) => [input, results[output]!]));
      const isState = new Set(keptOnDevice);
      const others = Object.entries(results).filter(([name]) => !isState.has(name));
      return Object.fromEntries(others.map(([name, value]) => [name, typedFromOrt(value)]));
    },
    advance() {
      if (next === undefined) throw new Error('advance comes after a run');
      drop(now);
      now = next;
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
      await session.release();
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
function drop(tensors: Readonly<Record<string, Tensor>> | undefined): void {
  for (const tensor of Object.values(tensors ?? {})) if (tensor.location === 'gpu-buffer') tensor.dispose();
}
