import { attribute, floatTensor, int64Tensor, makeNode } from '@modelmill/onnx';
import type { Node, Tensor } from '@modelmill/onnx';
import { modelOf } from '../models-for-tests.js';
import { relu, tensor } from './nets-for-tests.js';
import type { Net } from './nets-for-tests.js';

/** An encoder of 4 heads and 6 neurons on 3 places of 8 numbers, whose attention is written in one way or another. */
const encoder = (heads: Node[], constants: Tensor[]): Net => ({
  model: modelOf(
    [3, 8],
    [
      makeNode('LayerNormalization', ['input', 'n.scale', 'n.bias'], ['n']),
      ...heads,
      makeNode('MatMul', ['side', 'o.w'], ['o']),
      makeNode('Add', ['o', 'o.b'], ['projected']),
      makeNode('Add', ['projected', 'input'], ['r']),
      makeNode('MatMul', ['r', 'f.w'], ['f']),
      makeNode('Add', ['f.b', 'f'], ['hidden']),
      relu('hidden'),
      makeNode('MatMul', ['hidden.relu', 'g.w'], ['g']),
      makeNode('Add', ['g', 'r'], ['s']),
      makeNode('ReduceMean', ['s', 'places'], ['pooled'], { keepdims: attribute(0) }),
      makeNode('Gemm', ['pooled', 'w'], ['y']),
    ],
    [
      ...['n.scale', 'n.bias', 'o.b'].map((name) => tensor(name, [8])),
      tensor('o.w', [8, 8], [4, 5]),
      tensor('f.w', [8, 6]),
      tensor('f.b', [6]),
      tensor('g.w', [6, 8], [0, 3]),
      tensor('w', [8, 3]),
      int64Tensor('places', [1], [1]),
      ...constants,
    ],
    [3],
  ),
  ratio: 0.3, // 3 of 4 + 6
  gone: { found: [4, [2], 1, 1], 'hidden.relu': [6, [0, 3]] },
  parameters: 16 + 8 * 18 + 18 + 6 * 8 + 8 + 8 * 4 + 4 + 4 * 8 + 8 * 3,
  multiplyAdds: 24 + 3 * 8 * 18 + 9 * 6 + 9 * 6 + 3 * 6 * 8 + 3 * 8 * 4 + 3 * 4 * 8 + 8 * 3,
});

const transposed = (x: string, y: string, perm: number[]) => makeNode('Transpose', [x], [y], { perm: attribute(perm) });

/** As our layer lists have it: one product, split in three, and a mask as long as the scores. */
export const asLayerListsHaveIt = encoder(
  [
    makeNode('MatMul', ['n', 'qkv.w'], ['m']),
    makeNode('Add', ['m', 'qkv.b'], ['qkv']),
    makeNode('Split', ['qkv', 'widths'], ['q', 'k', 'v'], { axis: attribute(2) }),
    makeNode('Mul', ['q', 'scale'], ['q.scaled']),
    ...['q.scaled', 'k', 'v'].map((part) => makeNode('Reshape', [part, 'by_head'], [`${part}.parted`])),
    transposed('q.scaled.parted', 'queries', [0, 2, 1, 3]),
    transposed('k.parted', 'keys', [0, 2, 3, 1]),
    transposed('v.parted', 'values', [0, 2, 1, 3]),
    makeNode('MatMul', ['queries', 'keys'], ['scores']),
    makeNode('Shape', ['scores'], ['length'], { start: attribute(2) }),
    makeNode('Slice', ['mask', 'first', 'length'], ['mask.cut']),
    makeNode('Add', ['scores', 'mask.cut'], ['masked']),
    makeNode('Softmax', ['masked'], ['shares'], { axis: attribute(-1) }),
    makeNode('MatMul', ['shares', 'values'], ['found']),
    transposed('found', 'beside', [0, 2, 1, 3]),
    makeNode('Reshape', ['beside', 'joined'], ['side']),
  ],
  [
    tensor('qkv.w', [8, 24]),
    tensor('qkv.b', [24]),
    int64Tensor('widths', [3], [8, 8, 8]),
    floatTensor('scale', [], [Math.SQRT1_2]),
    int64Tensor('by_head', [4], [0, 0, 4, 2]),
    int64Tensor('joined', [3], [0, 0, 8]),
    int64Tensor('first', [2], [0, 0]),
    floatTensor('mask', [3, 3], [0, -1e4, -1e4, 0, 0, -1e4, 0, 0, 0]),
  ],
);

/** As PyTorch exports BERT: three products, and shapes that are computed from sizes of the input. */
export const asPyTorchExports = encoder(
  [
    ...['q', 'k', 'v'].flatMap((part) => [
      makeNode('MatMul', ['n', `${part}.w`], [`${part}.m`]),
      makeNode('Add', [`${part}.b`, `${part}.m`], [part]),
      ...sizesOf(part, ['four', 'two']),
      makeNode('Reshape', [part, `${part}.to`], [`${part}.parted`]),
      transposed(`${part}.parted`, `${part}.heads`, part === 'k' ? [0, 2, 3, 1] : [0, 2, 1, 3]),
    ]),
    makeNode('MatMul', ['q.heads', 'k.heads'], ['scores']),
    makeNode('Div', ['scores', 'root'], ['scaled']),
    makeNode('Softmax', ['scaled'], ['shares'], { axis: attribute(-1) }),
    makeNode('MatMul', ['shares', 'v.heads'], ['found']),
    transposed('found', 'beside', [0, 2, 1, 3]),
    ...sizesOf('beside', ['eight']),
    makeNode('Reshape', ['beside', 'beside.to'], ['side']),
  ],
  [
    ...['q', 'k', 'v'].flatMap((part) => [tensor(`${part}.w`, [8, 8]), tensor(`${part}.b`, [8])]),
    int64Tensor('0', [], [0]),
    int64Tensor('1', [], [1]),
    int64Tensor('front', [1], [0]),
    ...Object.entries({ two: 2, four: 4, eight: 8 }).map(([name, size]) => int64Tensor(name, [1], [size])),
    floatTensor('root', [], [Math.SQRT2]),
  ],
);

/** As the operator of set 23. */
export const asOneOperator: Net = {
  ...inSet23(
    encoder(
      [
        ...['q', 'k', 'v'].flatMap((part) => [
          makeNode('MatMul', ['n', `${part}.w`], [`${part}.m`]),
          makeNode('Add', [`${part}.b`, `${part}.m`], [part]),
          makeNode('Reshape', [part, 'by_head'], [`${part}.parted`]),
          transposed(`${part}.parted`, `${part}.heads`, [0, 2, 1, 3]),
        ]),
        makeNode('Attention', ['q.heads', 'k.heads', 'v.heads', 'mask'], ['found']),
        transposed('found', 'beside', [0, 2, 1, 3]),
        makeNode('Reshape', ['beside', 'joined'], ['side']),
      ],
      [
        ...['q', 'k', 'v'].flatMap((part) => [tensor(`${part}.w`, [8, 8]), tensor(`${part}.b`, [8])]),
        int64Tensor('by_head', [4], [0, 0, 4, 2]),
        int64Tensor('joined', [3], [0, 0, -1]),
        floatTensor('mask', [3, 3], [0, -9, -9, 0, 0, -9, 0, 0, 0]),
      ],
    ),
  ),
  multiplyAdds: 24 + 3 * 8 * 18 + 3 * 6 * 8 + 3 * 8 * 4 + 3 * 4 * 8 + 8 * 3, // what is inside is not counted
};

function inSet23({ model, ...net }: Net): Net {
  return { ...net, model: { ...model, irVersion: 11, opsets: new Map([['', 23]]) } };
}

/** Nodes that compute `x.to` of the first two sizes of x and others. */
function sizesOf(x: string, others: string[]): Node[] {
  const read = ['0', '1'].flatMap((at) => [
    makeNode('Shape', [x], [`${x}.shape${at}`]),
    makeNode('Gather', [`${x}.shape${at}`, at], [`${x}.size${at}`], { axis: attribute(0) }),
    makeNode('Unsqueeze', [`${x}.size${at}`, 'front'], [`${x}.sizes${at}`]),
  ]);
  const parts = [`${x}.sizes0`, `${x}.sizes1`, ...others];
  return [...read, makeNode('Concat', parts, [`${x}.to`], { axis: attribute(0) })];
}
