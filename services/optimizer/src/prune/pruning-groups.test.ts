import { floatTensor, makeNode } from '@modelmill/onnx';
import { modelOf } from '../models-for-tests.js';
import { pruningGroups } from './pruning-groups.js';
import type { PruningShares } from './pruning-groups.js';

const matrix = (name: string) => floatTensor(name, [2, 2], [1, 2, 3, 4]);
const product = (x: string, weight: string, y: string, node: string) => makeNode('MatMul', [x, weight], [y], {}, node);
const model = modelOf(
  [2],
  [
    product('input', 'w.1', 'a', 'stem'),
    product('a', 'w.2', 'b', 'body/first'),
    product('b', 'w.3', 'c', 'body/second'),
    product('c', 'w.3', 'd', 'again'),
    product('d', 'w.4', 'y', 'head'),
  ],
  ['w.1', 'w.2', 'w.3', 'w.4'].map(matrix),
  [2],
);
const groupsOf = (fields: Partial<PruningShares>) =>
  pruningGroups(model, { sparsity: 0.5, scope: 'global', layers: [], ...fields }).map(
    ({ weights, sparsity }) => `${weights.join(' ')}: ${sparsity}`,
  );

describe('the groups of weights that are held against each other', () => {
  it.each<[string, Partial<PruningShares>, string[]]>([
    ['all layers together', {}, ['w.1 w.2 w.3 w.4: 0.5']],
    ['each layer by itself', { scope: 'layer' }, ['w.1: 0.5', 'w.2: 0.5', 'w.3: 0.5', 'w.4: 0.5']],
    [
      'layers that stay, and one with a sparsity of its own',
      {
        layers: [
          { match: 'stem', sparsity: 0 },
          { match: 'head', sparsity: 0.1 },
        ],
      },
      ['w.4: 0.1', 'w.2 w.3: 0.5'],
    ],
    [
      'the first glob that fits, by the names of weights and of any node that reads them',
      { layers: [{ match: 'body/*', sparsity: 0.9 }] },
      ['w.2: 0.9', 'w.3: 0.9', 'w.1 w.4: 0.5'],
    ],
    [
      'a glob that says more after one that says less',
      {
        layers: [
          { match: 'again', sparsity: 0 },
          { match: 'w.*', sparsity: 0.3 },
        ],
      },
      ['w.1: 0.3', 'w.2: 0.3', 'w.4: 0.3'],
    ],
    ['nothing but what is named', { sparsity: 0, layers: [{ match: 'w.2', sparsity: 0.7 }] }, ['w.2: 0.7']],
  ])('are %s', (_, fields, groups) => expect(groupsOf(fields)).toEqual(groups));

  it('say so where a glob fits nothing', () =>
    expect(() => groupsOf({ layers: [{ match: 'tail*', sparsity: 0.5 }] })).toThrow(
      "layers name 'tail*', which fits no weight that can be pruned: there are w.1, w.2, w.3, w.4",
    ));
});
