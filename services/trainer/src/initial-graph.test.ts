import { outputsOf } from './fitting-loss.js';
import { initialGraph } from './initial-graph.js';

const preset = { kind: 'mlp', hidden: [4], activation: 'relu', dropout: 0 } as const;
const random = (_: number, count: number) => new Float32Array(count);

describe('the graph a training begins with', () => {
  it.each([
    ['a class each', 3, 'cross_entropy', 3],
    ['one number for two classes in binary form', 2, 'binary_cross_entropy', 1],
    ['one number for a number', 0, 'mse', 1],
  ] as const)('ends a preset in %s', (_, classes, kind, width) => {
    const outputs = outputsOf([{ kind, weight: 1 }], classes);
    const around = { featureShape: [5], classes, outputs, isText: false, random };
    const { layers } = initialGraph({ start: { kind: 'preset', preset }, model: 'm' }, around, undefined);
    expect(layers.at(-1)!.outputShape).toEqual([width]);
  });
});
