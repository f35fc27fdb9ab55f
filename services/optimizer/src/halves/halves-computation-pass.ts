import { JobFailedError } from '@modelmill/store';
import { nothingTo } from '../nothing-to.js';
import { definePass } from '../pass-kind.js';
import { computeHalves } from './compute-halves.js';
import type { HalfOptions } from './compute-halves.js';

/** Float arithmetic in 16 bits. */
export const halfComputation = definePass<'computeHalves', HalfOptions>({
  kind: 'compute_halves',
  isLast: true,
  plan: ({ computeHalves: { convertIo, blockedOperators, blockedNodes } }) => ({
    convertIo,
    blockedOperators,
    blockedNodes,
  }),

  async make(parent, options, { onProgress }) {
    await onProgress('halving', 0);
    const names = new Set(parent.graph.nodes.map(({ name }) => name));
    const unknown = options.blockedNodes.find((name) => !names.has(name));
    if (unknown !== undefined)
      throw new JobFailedError(`blocked_nodes has '${unknown}', which no node of the model is named`);
    const { model, halves, floats, casts, clamped } = computeHalves(parent, options);
    if (halves === 0)
      throw nothingTo('compute in halves: no node computes with 32-bit floats, or all of them are blocked');
    const blocked = [...floats].map(([opType, count]) => `${count} ${opType}`).join(', ');
    return {
      model,
      words: 'computed in halves',
      notes: [
        `${halves} nodes compute with 16-bit floats${blocked === '' ? '' : `, with 32-bit ones still ${blocked}`}; ` +
          `${casts} Casts lie between both.`,
        'CPUs compute in 16 bits no faster than in 32: ONNX Runtime takes as long, or up to 1.4 times as long.',
        ...(clamped > 0
          ? [`${clamped} weights were beyond what halves hold and became the nearest that they do.`]
          : []),
      ],
    };
  },
});
