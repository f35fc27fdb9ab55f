import { buildLayers } from '@modelmill/autodiff';
import type { BuiltModel, LayerSpec } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';

const image: LayerSpec = { kind: 'reshape', shape: [1, 8, 8] };
const pool: LayerSpec = { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] };
const dense = (units: number, activation?: 'relu'): LayerSpec => ({
  kind: 'dense',
  units,
  ...(activation ? { activation } : {}),
});
const conv = (filters: number): LayerSpec => ({
  kind: 'conv2d',
  filters,
  kernel: [3, 3],
  stride: [1, 1],
  padding: 'same',
  groups: 1,
  activation: 'relu',
});

/** What is measured: examples/digits-cnn.yaml without its dropout, and two perceptrons. */
export const networks = {
  digits: [image, conv(32), conv(32), pool, conv(64), pool, { kind: 'flatten' }, dense(128, 'relu'), dense(10)],
  mlp: [dense(512, 'relu'), dense(512, 'relu'), dense(10)],
  'mlp-64-128-10': [dense(128, 'relu'), dense(10)],
} as const satisfies Record<string, readonly LayerSpec[]>;

export function build(name: keyof typeof networks): BuiltModel {
  return buildLayers(networks[name], {
    featureShape: [64],
    random: (stream, count) => counterRandom(1n, stream).uniform(0, count),
    name,
  });
}

/** The same layers as a training spec's JSON has them. */
export const layersJson = (name: keyof typeof networks): object[] =>
  (networks[name] as readonly LayerSpec[]).map(({ kind, ...rest }) => ({
    [kind]: Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value])),
  }));
