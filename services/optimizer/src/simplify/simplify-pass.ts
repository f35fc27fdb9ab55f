import { byteLength } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { range } from '../field-checks.js';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { simplify } from './simplify.js';
import type { Done } from './simplify.js';

/** Bytes that constants may always add. */
const alwaysFree = 64 * 2 ** 10;

/** The graph says the same with less. */
export const simplification = definePass<'simplify', { readonly maxGrowth: number }>({
  kind: 'simplify',
  plan: ({ simplify: { maxGrowth } }, at) => ({ maxGrowth: range(maxGrowth || 0.1, 0, 10, `${at}.max_growth`) }),

  async make(parent, { maxGrowth }, { signal, onProgress }) {
    await onProgress('simplifying', 0);
    const mostBytes = Math.max(alwaysFree, maxGrowth * bytesOfConstants(parent));
    const { model, done } = await simplify(parent, { mostBytes, signal });
    if (done.size === 0) throw nothingTo('simplify: every node and constant is needed as it is');
    return {
      model,
      words: 'simplified',
      notes: [`${parent.graph.nodes.length} nodes became ${model.graph.nodes.length}: ${inWords(done)}.`],
    };
  },
});

const inWords = (done: Done) => [...done].map(([words, count]) => `${count} ${words}`).join(', ');

const bytesOfConstants = ({ graph }: Model) =>
  [...graph.initializers.values()].reduce((sum, tensor) => sum + byteLength(tensor), 0);
