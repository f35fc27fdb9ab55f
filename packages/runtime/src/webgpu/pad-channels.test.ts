import { emptyGraph, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { padChannels } from './pad-channels.js';
import { numbers, runnable } from './run-for-tests.js';

/** y = Conv(x [2, channels, …spatial], w [filters, channels, 3, …]). */
function convolving(channels: number, filters: number, spatial: readonly number[]): Model {
  const graph = emptyGraph('convolving');
  const value = (name: string, shape: readonly number[]) => ({ name, dataType: 'float' as const, shape: [...shape] });
  graph.inputs = [
    value('x', [2, channels, ...spatial]),
    value('w', [filters, channels, ...spatial.map(() => 3)]),
    value('b', [filters]),
  ];
  graph.outputs = [value('y', [2, filters, ...spatial.map((size) => size - 2)])];
  graph.nodes = [makeNode('Conv', ['x', 'w', 'b'], ['y'])];
  return { irVersion: 8, opsets: new Map([['', 18]]), producer: '', metadata: new Map(), graph, functions: [] };
}

const kinds = ({ graph }: Model) => graph.nodes.map(({ opType }) => opType);

describe('padded channels', () => {
  it.each([
    [6, [5, 5]],
    [9, [7]],
    [30, [4, 3]],
  ])('give a convolution of %d channels over %j the same outputs', async (channels, spatial) => {
    const model = convolving(channels, 4, spatial);
    const padded = padChannels(model);
    expect(kinds(padded)).toEqual(['Pad', 'Pad', 'Conv']);
    const feeds = Object.fromEntries(
      model.graph.inputs.map(({ name, shape = [] }, seed) => {
        const dims = shape.map(Number);
        return [name, { dims, data: numbers(dims.reduce((a, b) => a * b, 1), { seed }) }]; // prettier-ignore
      }),
    );
    const [{ y: got }, { y: wanted }] = [await (await runnable(padded))(feeds), await (await runnable(model))(feeds)];
    expect(Math.max(...got!.map((number, i) => Math.abs(number - wanted![i]!)))).toBeLessThan(1e-5);
  });

  it.each([
    [3, 4],
    [8, 4],
    [12, 4],
    [6, 3],
    [7, 8],
  ])('are not for %d channels to %d', (channels, filters) => {
    expect(kinds(padChannels(convolving(channels, filters, [4, 4])))).toEqual(['Conv']);
  });
});
