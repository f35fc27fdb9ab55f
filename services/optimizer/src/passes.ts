import type { optimizer } from '@modelmill/contracts';
import { distillation } from './distill-pass.js';
import * as errors from './errors.js';
import { halfComputation } from './halves/halves-computation-pass.js';
import { byteStorage } from './pack/bytes-pass.js';
import { halfStorage } from './pack/halves-pass.js';
import { weightSharing } from './pack/sharing-pass.js';
import { signQuantization } from './pack/signs-pass.js';
import type { AskedPass, PassCase, PassKind, PlannedPass } from './pass-kind.js';
import { magnitudePruning } from './prune/magnitude-pass.js';
import { structuredPruning } from './prune/structured-pass.js';
import { awareQuantization } from './quantize/aware-pass.js';
import { dynamicQuantization } from './quantize/dynamic-pass.js';
import { staticQuantization } from './quantize/static-pass.js';
import { weightQuantization } from './quantize/weights-pass.js';
import { simplification } from './simplify/simplify-pass.js';

/** Every kind of pass, by its case in the contract. */
export const passKinds: { readonly [C in PassCase]: PassKind<C> } = {
  computeHalves: halfComputation,
  distill: distillation,
  pruneMagnitude: magnitudePruning,
  pruneStructured: structuredPruning,
  quantizeAware: awareQuantization,
  quantizeDynamic: dynamicQuantization,
  quantizeSigns: signQuantization,
  quantizeStatic: staticQuantization,
  quantizeWeights: weightQuantization,
  shareWeights: weightSharing,
  simplify: simplification,
  storeBytes: byteStorage,
  storeHalves: halfStorage,
};

/** Passes that may follow each other in this order, with their defaults; throws an RpcError naming the field. */
export function planPasses(wanted: readonly optimizer.Pass[]): PlannedPass[] {
  const passes = wanted.map((pass, i) => planPass(pass, `passes[${i}]`));
  const last = passes.findIndex(({ isLast }) => isLast);
  if (last >= 0 && last < passes.length - 1) throw errors.afterLast(`passes[${last + 1}]`, passes[last]!.kind);
  const anew = passes.findIndex(({ startsAnew }, i) => i > 0 && startsAnew);
  if (anew >= 0) throw errors.distilledLater(`passes[${anew}]`);
  return passes;
}

function planPass({ kind }: optimizer.Pass, at: string): PlannedPass {
  if (kind === undefined) throw errors.passWithoutKind(at);
  return planCase(kind.$case, kind, at);
}

const planCase = <C extends PassCase>(name: C, asked: AskedPass[C], at: string) => passKinds[name].plan(asked, at);
