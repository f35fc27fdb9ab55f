import { serving } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { present } from './present.js';

const { ServingService: methods } = serving;

/** What the inference service finds out while it serves. */
export function createServingClient(channel: Channel) {
  return {
    /** How a label's shadow fares against the versions that answer, over all replicas. */
    async shadowComparison(model: string, label: string, options?: CallOptions): Promise<serving.ShadowComparison> {
      const answer = await channel.unary(methods.getShadowComparison, { model, label }, { ...options, safe: true });
      return present(answer.comparison, 'comparison');
    },
  };
}

export type ServingClient = ReturnType<typeof createServingClient>;
