import type { Model } from '@modelmill/onnx';
import { scannedModel } from './scanned-model.js';
import { openStatefulSession } from './stateful-session.js';
import type { StatePair, StatefulOptions, StatefulSession } from './stateful-session.js';
import type { TensorArray, TypedTensor } from './tensor.js';

type Tensors = Readonly<Record<string, TypedTensor>>;
type Numbers = Exclude<TensorArray, string[]>;

/** A stateful session that makes several runs of its model at once: the state comes and goes once for all of them. */
export interface ScannedSession extends StatefulSession {
  /**
   * So many runs, each beginning with the state that the one before it left, and the outputs told of each. `feedsOf` is
   * asked for one after the other, and may fill the same memory again. The state stays as it is until `advance`.
   */
  runEach(count: number, feedsOf: (run: number) => Promise<Tensors>): Promise<Record<string, TypedTensor>[]>;
}

/** For providers that cannot keep tensors on their device from run to run. `told`: the outputs besides the state. */
export async function openScannedSession(
  model: Model,
  pairs: readonly StatePair[],
  { told, ...options }: StatefulOptions & { readonly told: readonly string[] },
): Promise<ScannedSession> {
  const taken = new Set(model.graph.inputs.map(({ name }) => name));
  const session = await openStatefulSession(scannedModel(model, pairs, told), pairs, options);

  const runEach: ScannedSession['runEach'] = async (count, feedsOf) => {
    const all = new Map<string, TypedTensor>();
    for (let run = 0; run < count; run++) {
      for (const [name, feed] of Object.entries(await feedsOf(run))) {
        if (!taken.has(name)) continue;
        const gathered = all.get(name) ?? roomFor(feed, count);
        all.set(name, gathered);
        // arrays of one name have one type
        (gathered.data as Float32Array).set(feed.data as Float32Array, run * feed.data.length);
      }
    }
    const results = Object.entries(await session.run(Object.fromEntries(all)));
    return Array.from({ length: count }, (_, run) =>
      Object.fromEntries(results.map(([name, value]) => [name, oneOf(value, run)] as const)),
    );
  };
  return {
    ...session,
    runEach,
    run: async (feeds, by = 'model') =>
      by === 'other' ? session.run(feeds, by) : (await runEach(1, () => Promise.resolve(feeds)))[0]!,
  };
}

function roomFor({ dims, data, ...more }: TypedTensor, count: number): TypedTensor {
  const array = data as Float32Array;
  const room = new (array.constructor as Float32ArrayConstructor)(count * array.length);
  return { ...more, dims: [count, ...dims], data: room };
}

function oneOf({ dims: [, ...dims], data, ...more }: TypedTensor, run: number): TypedTensor {
  const size = dims.reduce((product, dim) => product * dim, 1);
  return { ...more, dims, data: (data as Numbers).subarray(run * size, (run + 1) * size) };
}
