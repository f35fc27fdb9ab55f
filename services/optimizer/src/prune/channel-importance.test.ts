import { floatTensor, floatsOf } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { byBatchNorm, byTaylor } from './channel-importance.js';
import { nets } from './nets-for-tests.js';
import { pruneStructured } from './prune-structured.js';

const { model } = nets['residual']!;
const widthOf = ({ graph }: Model, name: string) => graph.initializers.get(name)!.dims[0];
/** The model with other numbers in some of its weights. */
function withNumbers(changes: Readonly<Record<string, (index: number) => number>>): Model {
  const initializers = new Map(model.graph.initializers);
  for (const [name, of] of Object.entries(changes)) {
    const { dims } = initializers.get(name)!;
    const count = dims.reduce((a, b) => a * b, 1);
    initializers.set(
      name,
      floatTensor(
        name,
        dims,
        Array.from({ length: count }, (_, i) => of(i)),
      ),
    );
  }
  return { ...model, graph: { ...model.graph, initializers } };
}

describe("a channel's importance", () => {
  it('by batch normalization is its scale, and what is not normalized stays', () => {
    const scales = [3, -0.1, 2, 0.2, -4];
    const scaled = withNumbers({ gamma: (i) => scales[i]! });
    const asked = { ratio: 0.4, multiplyAdds: 0, roundTo: 1 }; // 2 of 5
    const { model: cut, channels, removed } = pruneStructured(scaled, asked, byBatchNorm);
    expect([channels, removed]).toEqual([5, 2]);
    expect([...floatsOf(cut.graph.initializers.get('gamma')!)]).toEqual([3, 2, -4]);
    expect(['a.w', 'b.w', 'c.w'].map((name) => widthOf(cut, name))).toEqual([6, 3, 6]);
  });

  it('by Taylor expansion is what was summed up of all its slices, whatever the weights are', () => {
    // of a.w and c.w channel 2 matters least, of b.w channel 4
    const sums = withNumbers({
      'a.w': (i) => (Math.floor(i / 18) === 2 ? 0 : 1),
      'a.b': () => 0,
      'b.w': (i) => (Math.floor((i % 54) / 9) === 2 || Math.floor(i / 54) === 4 ? 0 : 1),
      ...Object.fromEntries(['gamma', 'beta'].map((name) => [name, (i: number) => Number(i !== 4)])),
      'c.w': (i) => (Math.floor(i / 45) === 2 || Math.floor((i % 45) / 9) === 4 ? 0 : 1),
      w: (i) => (Math.floor(i / 3) === 2 ? 0 : 1),
    });
    const { model: cut } = pruneStructured(model, { ratio: 0.2, multiplyAdds: 0, roundTo: 1 }, byTaylor(sums));
    const left = (name: string, gone: number, size: number) => {
      const values = [...floatsOf(model.graph.initializers.get(name)!)];
      return values.filter((_, i) => Math.floor(i / size) !== gone);
    };
    expect([...floatsOf(cut.graph.initializers.get('a.w')!)]).toEqual(left('a.w', 2, 18));
    expect([...floatsOf(cut.graph.initializers.get('gamma')!)]).toEqual(left('gamma', 4, 1));
  });

  it('says so where nothing that can be removed has any', () =>
    expect(() =>
      pruneStructured(nets['concat']!.model, { ratio: 0.4, multiplyAdds: 0, roundTo: 1 }, byBatchNorm),
    ).toThrow('there is no channel to remove: none that can be removed has the importance asked for'));
});
