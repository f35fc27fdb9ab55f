import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-layers'; // brings the gradients, which core alone has not
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { DividedStep } from '@modelmill/autodiff';
import { interpret, nodeWithout } from './interpreter.js';
import type { Interpreted } from './interpreter.js';

/** A tensor outside of TensorFlow.js. */
export interface Numbers {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number | bigint | boolean | string>;
}

type Feeds = Readonly<Record<string, Numbers>>;
type State = Record<string, { readonly dims: readonly number[]; readonly data: Float32Array }>;

/** A training's steps, run and differentiated by TensorFlow.js; as runtime's StatefulSession. */
export interface TfjsSession extends AsyncDisposable {
  readonly provider: 'cpu';
  /** `other`: a batch whose gradients are only gathered. The state stays as it is until `advance`. */
  run(feeds: Feeds, by?: 'model' | 'other'): Promise<State>;
  advance(): void;
  state(): Promise<State>;
  setState(state: Feeds): void;
}

/** The operator, with its node, that stands against training a step here; undefined: none. */
export function unsupportedByTfjs({ loss, update, gather }: DividedStep): string | undefined {
  const node = [loss, update, ...(gather ? [gather] : [])].map(nodeWithout).find((found) => found !== undefined);
  return node && `${node.opType} (node '${node.name}')`;
}

/** Opens a step; `setState` comes before the first run. */
export async function openTfjsSession(step: DividedStep): Promise<TfjsSession> {
  tf.enableProdMode(); // or it advertises another package on stderr
  await tf.setBackend('cpu');
  await tf.ready();
  const loss = interpret(step.loss);
  const update = interpret(step.update);
  const gather = step.gather && interpret(step.gather);
  const trained = [...step.gradients];
  let now = new Map<string, Tensor>();
  let next: Map<string, Tensor> | undefined;

  return {
    provider: 'cpu',
    async run(feeds, by = 'model') {
      const after = by === 'model' ? update : gather;
      if (!after) throw new Error('a step that gathers gradients wants one that was made with accumulation');
      drop(next);
      const { told, state } = stepped(loss, after, feeds);
      next = state;
      return read(told);
    },
    advance() {
      if (next === undefined) throw new Error('advance comes after a run');
      drop(new Map([...next.keys()].map((name) => [name, now.get(name)!])));
      now = new Map([...now, ...next]);
      next = undefined;
    },
    state: () => read(now),
    setState(state) {
      drop(next);
      drop(now);
      next = undefined;
      now = new Map(step.state.map(({ input }) => [input, tf.keep(floatTensor(state[input]!))]));
    },
    async [Symbol.asyncDispose]() {
      drop(next);
      drop(now);
    },
  };

  /** Forward and back, then the update; everything between is given back. */
  function stepped(forward: Interpreted, after: Interpreted, feeds: Feeds) {
    const outputs = new Map(step.state.map(({ input, output }) => [output, input]));
    const told = new Map<string, Tensor>();
    const state = new Map<string, Tensor>();
    const keep = (made: ReadonlyMap<string, Tensor>) => {
      for (const [name, tensor] of made) {
        const input = outputs.get(name);
        if (input === undefined) told.set(name, tf.keep(tf.clone(tensor)));
        else state.set(input, tf.keep(tf.clone(tensor)));
      }
    };
    tf.tidy(() => {
      const fed = new Map([...now, ...Object.entries(feeds).map(([name, value]) => [name, anyTensor(value)] as const)]);
      const weights = trained.map(([name]) => now.get(name)!);
      const { grads } = tf.valueAndGrads((...moved: Tensor[]): Scalar => {
        const made = forward(new Map([...fed, ...trained.map(([name], i) => [name, moved[i]!] as const)]));
        keep(made);
        return tf.reshape(made.get(step.outputs.loss)!, []);
      })(weights);
      keep(after(new Map([...fed, ...trained.map(([, name], i) => [name, grads[i]!] as const)])));
    });
    return { told, state };
  }
}

const floatTensor = ({ dims, data }: Numbers) => tf.tensor(Float32Array.from(data as ArrayLike<number>), [...dims]);

function anyTensor(value: Numbers): Tensor {
  const { dims, data } = value;
  if (data instanceof Float32Array) return floatTensor(value);
  return tf.tensor(Int32Array.from(data as ArrayLike<bigint>, Number), [...dims], 'int32');
}

async function read(tensors: ReadonlyMap<string, Tensor>): Promise<State> {
  const found = [...tensors].map(async ([name, tensor]) => {
    const data = Float32Array.from(await tensor.data<'float32'>());
    return [name, { dims: tensor.shape, data }] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

function drop(tensors: ReadonlyMap<string, Tensor> | undefined): void {
  for (const tensor of tensors?.values() ?? []) tensor.dispose();
}
