import { activations } from './activation-gradients.js';
import { contractions } from './contraction-gradients.js';
import { elementWise } from './element-wise-gradients.js';
import type { GradientRule } from './gradient-rule.js';
import { indexing } from './indexing-gradients.js';
import { movements } from './movement-gradients.js';
import { reductions } from './reduction-gradients.js';
import { slices } from './slice-gradients.js';
import { trigonometric } from './trigonometric-gradients.js';
import { windowRules } from './window-gradients.js';

/** One row per operator; recipes in docs/training.md. `U`, the sum over broadcast axes, is the walk's. */
export const gradientRules: Readonly<Record<string, GradientRule>> = {
  ...elementWise,
  ...trigonometric,
  ...activations,
  ...contractions,
  ...windowRules,
  ...reductions,
  ...movements,
  ...indexing,
  ...slices,
};
