import type { serving } from '@modelmill/contracts';
import { unary } from '@modelmill/service-kit';
import type { Telemetry } from '@modelmill/service-kit';
import * as errors from './errors.js';
import { comparisonMessage } from './shadows.js';
import type { Shadows } from './shadows.js';

export function servingHandlers(shadows: Pick<Shadows, 'find'>, telemetry: Telemetry): serving.ServingServer {
  return {
    getShadowComparison: unary(async ({ model, label }: serving.GetShadowComparisonRequest) => {
      const shadow = shadows.find(model, label);
      if (shadow === undefined) throw errors.noShadow(model, label);
      return { comparison: comparisonMessage(shadow) };
    }, telemetry),
  };
}
