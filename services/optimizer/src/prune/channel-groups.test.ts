import { attribute, floatTensor, int64Tensor, intTensor, makeNode, writeOnnx } from '@modelmill/onnx';
import type { Attribute, Model, Node, Tensor } from '@modelmill/onnx';
import { openSession } from '@modelmill/runtime';
import { channelGroups } from './channel-groups.js';
import { cutChannels } from './cut-channels.js';
import { modelOf, numbers } from '../models-for-tests.js';

const tensor = (name: string, dims: number[]): Tensor =>
  floatTensor(name, dims, numbers(dims.reduce((a, b) => a * b, 1)));
const layer = (op: string, inputs: string[], output: string, attributes: Record<string, Attribute> = {}): Node =>
  makeNode(op, inputs, [output], attributes);
const image = [4, 4, 4];
const image1 = (name: string, out: number, into = 4): Tensor => tensor(name, [out, into, 1, 1]);

/** Sizes of the groups of a model with an input of 4 channels of 4 by 4. */
const sizesOf = (nodes: Node[], constants: Tensor[], output: number[]) =>
  channelGroups(modelOf(image, nodes, constants, output)).groups.map((sets) => sets.length);

async function runs(model: Model): Promise<readonly number[]> {
  await using session = await openSession(writeOnnx(model), { providers: ['cpu'], graphOptimization: 'disabled' });
  const dims = [3, ...(model.graph.inputs[0]!.shape!.slice(1) as number[])];
  const outputs = await session.run({ input: { dims, data: numbers(dims.reduce((a, b) => a * b, 1)) } });
  return outputs[model.graph.outputs[0]!.name]!.dims;
}

describe('the channels of a model', () => {
  const first = layer('Conv', ['input', 'w'], 'a');
  const last = layer('Conv', ['b', 'v'], 'y');
  const between = (nodes: Node[], constants: Tensor[] = [], width = 6) =>
    sizesOf([first, ...nodes, last], [image1('w', 6), image1('v', 3, width), ...constants], [3, 4, 4]);

  const halves = layer('Split', ['a'], 'h', { axis: attribute(1), num_outputs: attribute(2) });
  const parts = layer('Split', ['a', 'lengths'], 'h', { axis: attribute(1) });
  const unknown = layer('Split', ['a', 'unknown'], 'h', { axis: attribute(1) });
  for (const node of [halves, parts, unknown]) node.outputs.push('g');
  const lengths = [layer('Cast', ['three'], 'unknown', { to: attribute(7) }), unknown];

  const through: readonly (readonly [string, Node[], Tensor[], number[], number?])[] = [
    [
      'an InstanceNormalization',
      [layer('InstanceNormalization', ['a', 's', 't'], 'b')],
      [tensor('s', [6]), tensor('t', [6])],
      [6],
    ],
    ['a PRelu', [layer('PRelu', ['a', 's'], 'b')], [tensor('s', [6, 1, 1])], [6]],
    ['a product with a number', [layer('Mul', ['a', 's'], 'b')], [tensor('s', [])], [6]],
    [
      'a transposed convolution',
      [layer('ConvTranspose', ['a', 'u', 's'], 'b')],
      [tensor('u', [6, 5, 1, 1]), tensor('s', [5])],
      [6, 5],
      5,
    ],
    [
      'one in groups',
      [layer('ConvTranspose', ['a', 'u'], 'b', { group: attribute(2) })],
      [tensor('u', [6, 2, 1, 1])],
      [3, 2],
      4,
    ],
    [
      'a depthwise one',
      [layer('ConvTranspose', ['a', 'u'], 'b', { group: attribute(6) })],
      [tensor('u', [6, 2, 1, 1])],
      [6],
      12,
    ],
    [
      'a depthwise convolution of two kernels each',
      [layer('Conv', ['a', 'u'], 'b', { group: attribute(6) })],
      [tensor('u', [12, 1, 1, 1])],
      [6],
      12,
    ],
    [
      'a squeeze and excitation',
      [
        layer('GlobalAveragePool', ['a'], 'p'),
        layer('Conv', ['p', 'd'], 'q'),
        layer('Conv', ['q', 'e'], 'g'),
        layer('Mul', ['g', 'a'], 'b'),
      ],
      [image1('d', 2, 6), image1('e', 6, 2)],
      [6, 2],
    ],
    [
      'a detour by which channels come last',
      [
        layer('Transpose', ['a'], 'h', { perm: attribute([0, 2, 3, 1]) }),
        layer('LayerNormalization', ['h', 's', 't'], 'n'),
        layer('MatMul', ['n', 'm'], 'p'),
        layer('Add', ['p', 's5'], 'q'),
        layer('Transpose', ['q'], 'b', { perm: attribute([0, 3, 1, 2]) }),
      ],
      [tensor('s', [6]), tensor('t', [6]), tensor('m', [6, 5]), tensor('s5', [5])],
      [6, 5],
      5,
    ],
    [
      'a mean over what is no channel',
      [layer('ReduceMean', ['a', 'places'], 'm'), layer('Add', ['m', 'a'], 'b')],
      [int64Tensor('places', [2], [2, -1])],
      [6],
    ],
    [
      'an axis that a Reshape splits, by its parts',
      [layer('Reshape', ['a', 'to'], 'h'), layer('Reshape', ['h', 'back'], 'b')],
      [int64Tensor('to', [5], [-1, 3, 2, 4, 4]), int64Tensor('back', [4], [-1, 6, 4, 4])],
      [3],
    ],
    [
      'a shape of which another size is read',
      [
        layer('Shape', ['a'], 'k'),
        layer('Gather', ['k', 'first'], 'n'),
        layer('Concat', ['n', 'rest'], 'to', { axis: attribute(0) }),
        layer('Expand', ['one', 'to'], 'e'),
        layer('Add', ['a', 'e'], 'b'),
      ],
      [int64Tensor('first', [1], [0]), int64Tensor('rest', [3], [1, 1, 1]), tensor('one', [])],
      [6],
    ],
    ['a Split, one half as the other', [halves, layer('Sub', ['h', 'g'], 'b')], [], [3], 3],
    [
      'a Split into parts of which each keeps something',
      [parts, layer('Conv', ['h', 'd'], 'i'), layer('Conv', ['g', 'e'], 'j'), layer('Add', ['i', 'j'], 'b')],
      [int64Tensor('lengths', [2], [4, 2]), image1('d', 5, 4), image1('e', 5, 2)],
      [6, 5],
      5,
    ],
    [
      'weights that two layers share',
      [layer('Conv', ['a', 'u'], 'c'), layer('Conv', ['c', 'u'], 'b')],
      [image1('u', 6, 6)],
      [6],
    ],
  ];

  it.each(through.map(([name, ...row]) => [name, row] as const))(
    'go through %s, and every other one can go',
    async (_, [nodes, constants, sizes, width = 6]) => {
      expect(between(nodes, constants, width)).toEqual(sizes);
      const model = modelOf(
        image,
        [first, ...nodes, last],
        [image1('w', 6), image1('v', 3, width), ...constants],
        [3, 4, 4],
      );
      const found = channelGroups(model);
      const half = found.groups.flatMap((sets) => sets.filter((_set, i) => i % 2 === 0).slice(0, sets.length - 1));
      const cut = cutChannels(model, found, new Set(half));
      expect(cut.graph.initializers.get('v')!.dims[1]).toBeLessThan(width);
      expect(await runs(cut)).toEqual([3, 3, 4, 4]);
    },
  );

  const whole: readonly (readonly [string, Node[], Tensor[], number?])[] = [
    [
      'is split by lengths that are computed',
      [...lengths, layer('Sub', ['h', 'g'], 'b')],
      [intTensor('three', 'int32', [2], [3, 3])],
      3,
    ],
    ['is normalized over by a Softmax', [layer('Softmax', ['a'], 'b', { axis: attribute(1) })], []],
    [
      'meets values without channels',
      [layer('Concat', ['input', 'extra'], 'i', { axis: attribute(1) }), layer('Add', ['a', 'i'], 'b')],
      [tensor('extra', [1, 2, 4, 4])],
    ],
    [
      'is summed over',
      [layer('ReduceSum', ['a', 'axes'], 'h'), layer('Expand', ['h', 'to'], 'b')],
      [int64Tensor('axes', [1], [1]), int64Tensor('to', [4], [1, 6, 4, 4])],
    ],
    ['is read by an operator without a row', [layer('CumSum', ['a', 'axis'], 'b')], [int64Tensor('axis', [], [1])]],
    ['has a shape that is read', [layer('Shape', ['a'], 'k'), layer('Expand', ['a', 'k'], 'b')], []],
  ];
  it.each(whole.map(([name, ...row]) => [name, row] as const))(
    'stay where an axis %s',
    (_, [nodes, constants, width]) => expect(between(nodes, constants, width)).toEqual([]),
  );

  it('stay where they are an output of the model', () => {
    const model = modelOf(image, [first], [image1('w', 6)], [6, 4, 4]);
    expect(channelGroups(model).groups).toEqual([]);
  });
});
