import { buildLayers, dividedStep, presetLayers, trainingStep } from '@modelmill/autodiff';
import type { LayerSpec, StepOptions } from '@modelmill/autodiff';
import { counterRandom } from '@modelmill/data';
import { makeNode } from '@modelmill/onnx';
import { openStatefulSession } from '@modelmill/runtime';
import type { TypedTensor } from '@modelmill/runtime';
import { openTfjsSession, unsupportedByTfjs } from '@modelmill/tfjs';

interface Case {
  readonly layers: readonly LayerSpec[];
  readonly shape: readonly number[];
  readonly vocabulary?: number;
  readonly classes: number;
  readonly perPlace?: boolean;
  readonly rate?: number;
  readonly more?: Partial<StepOptions>;
}

const conv = (filters: number, stride = 1): LayerSpec => ({
  kind: 'conv2d',
  filters,
  kernel: [3, 3],
  stride: [stride, stride],
  padding: 'same',
  groups: 1,
  activation: 'relu',
});
const pool: LayerSpec = { kind: 'max_pool2d', kernel: [2, 2], stride: [2, 2] };
const dense = (units: number, activation?: 'relu' | 'tanh' | 'gelu'): LayerSpec => ({
  kind: 'dense',
  units,
  ...(activation ? { activation } : {}),
});
const batchSize = 6;
const sgd = { kind: 'sgd', momentum: 0.9, nesterov: true } as const;
const adam = { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.01 } as const;

const cases: Record<string, Case> = {
  MLP: { layers: [dense(16, 'relu'), dense(12, 'tanh'), dense(4)], shape: [9], classes: 4, more: { optimizer: sgd } },
  CNN: {
    layers: [
      { kind: 'reshape', shape: [1, 8, 8] },
      conv(4),
      { kind: 'batch_norm', momentum: 0.9, epsilon: 1e-5 },
      pool,
      conv(6, 2),
      { kind: 'dropout', rate: 0.25 },
      { kind: 'flatten' },
      dense(5),
    ],
    shape: [64],
    classes: 5,
    more: { clipNorm: 1 },
  },
  LSTM: {
    layers: [
      { kind: 'embedding', vocabulary: 11, width: 6 },
      { kind: 'lstm', units: 7, bidirectional: true, sequences: false },
      dense(3),
    ],
    shape: [5],
    vocabulary: 11,
    classes: 3,
  },
  transformer: {
    layers: presetLayers(
      { kind: 'gpt', layers: 2, heads: 2, width: 8, dropout: 0.1, bias: true, tied: true },
      { featureShape: [6], outputs: 13 },
    ),
    shape: [6],
    vocabulary: 13,
    classes: 13,
    perPlace: true,
    rate: 1e-3, // Adam makes steps of any size of the rounding of gradients near zero
    more: { ema: 0.9, decayMatricesOnly: true, clipNorm: 0.5 },
  },
};

const steps = 20;

describe('the engines agree on loss and weights over 20 steps', () => {
  it.each(Object.entries(cases))(
    'of the %s',
    async (name, { layers, shape, vocabulary, classes, perPlace, rate, more }) => {
      const uniform = (stream: number, count: number) => counterRandom(5n, stream).uniform(0, count);
      const { forward } = buildLayers(layers, {
        featureShape: shape,
        ...(vocabulary === undefined ? {} : { tokens: { vocabulary } }),
        random: uniform,
        name,
      });
      const options: StepOptions = {
        batchSize,
        exampleShape: shape,
        loss: { kind: 'cross_entropy' },
        optimizer: adam,
        ...more,
      };
      const whole = trainingStep(forward, options);
      const divided = dividedStep(forward, options);
      expect(divided.state).toEqual(whole.state);
      expect(unsupportedByTfjs(divided)).toBeUndefined();

      await using onnx = await openStatefulSession(whole.model, whole.state, { providers: ['cpu'] });
      await using tfjs = await openTfjsSession(divided);
      const initial = Object.fromEntries(
        whole.state.map(({ input, dims, initial }): [string, TypedTensor] => [input, { dims, data: initial }]),
      );
      onnx.setState(initial);
      tfjs.setState(initial as never);

      const tokens = (stream: number, dims: readonly number[], most: number): TypedTensor => {
        const numbers = uniform(
          stream,
          dims.reduce((product, size) => product * size, 1),
        );
        return { dims, data: BigInt64Array.from(numbers, (value) => BigInt(Math.floor(value * most))) };
      };
      const { features, targets, learningRate, corrections, dropout } = whole.inputs;
      const scalar = (value: number): TypedTensor => ({ dims: [], data: Float32Array.of(value) });
      for (let step = 0; step < steps; step++) {
        const dims = [batchSize, ...shape];
        const feeds: Record<string, TypedTensor> = {
          [features]: vocabulary
            ? tokens(100 + step, dims, vocabulary)
            : {
                dims,
                data: uniform(
                  100 + step,
                  dims.reduce((product, size) => product * size, 1),
                ),
              },
          [targets]: tokens(200 + step, perPlace ? dims : [batchSize], classes),
          [learningRate]: scalar(rate ?? 0.01),
          ...(corrections
            ? {
                [corrections.c1]: scalar(1 / (1 - 0.9 ** (step + 1))),
                [corrections.c2]: scalar(1 / (1 - 0.99 ** (step + 1))),
              }
            : {}),
        };
        dropout.forEach(({ name: mask, shape: of, rate: zeroed }, i) => {
          const drawn = uniform(
            300 + 20 * i + step,
            of.reduce((product, size) => product * size, 1),
          );
          feeds[mask] = { dims: of, data: drawn.map((value) => (value < zeroed ? 0 : 1 / (1 - zeroed))) };
        });
        const [a, b] = [await onnx.run(feeds), await tfjs.run(feeds as never)];
        for (const figure of [whole.outputs.loss, whole.outputs.gradientNorm]) {
          expect(Math.abs((a[figure]!.data as Float32Array)[0]! - b[figure]!.data[0]!)).toBeLessThan(1e-4);
        }
        onnx.advance();
        tfjs.advance();
      }
      const [ours, theirs] = [await onnx.state(), await tfjs.state()];
      for (const { input, initial: before } of whole.state) {
        const values = ours[input]!.data as Float32Array;
        const apart = values.map((value, i) => Math.abs(value - theirs[input]!.data[i]!));
        expect([input, Math.max(...apart) < 1e-4]).toEqual([input, true]);
        expect(values).not.toEqual(before);
      }
    },
  );

  it('and one of them says what it cannot do', () => {
    const { forward } = buildLayers([dense(4)], {
      featureShape: [3],
      random: (_, count) => new Float32Array(count),
      name: 'odd',
    });
    const [output] = forward.graph.outputs;
    forward.graph.nodes.push(makeNode('Mish', [output!.name], ['odd'], {}, 'the odd one'));
    forward.graph.outputs = [{ ...output!, name: 'odd' }];
    const step = dividedStep(forward, { batchSize, loss: { kind: 'cross_entropy' }, optimizer: sgd });
    expect(unsupportedByTfjs(step)).toMatch(/^Mish \(node '.*'\)$/);
  });
});
