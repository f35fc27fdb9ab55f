import type { registry } from '@modelmill/contracts';
import { compareVersions } from './compare-versions.js';
import { registrySignature } from './binding.js';
import { bindingOf, makePasses, never, passesShare } from './make-passes.js';
import type { Order, PassDeps } from './make-passes.js';
import { keepModel } from './model-files.js';
import type { PinnedPlan } from './pinned-plan.js';
import type { MadeCandidate } from './process/pass-calls.js';
import { leftoversInWords } from './quantize/leftovers.js';
import type { Report } from './report.js';
import type { InTurn } from './turns.js';

export interface CandidateDeps extends PassDeps {
  /** Latencies are measured by one job at a time. */
  readonly inTurn: InTurn;
}

/** What passes made, measured beside what they were made from. */
export interface Candidate extends Omit<MadeCandidate, 'signature'> {
  readonly signature: registry.Signature;
}

/** Makes passes, keeps what they made, and measures it. Computes for long. */
export async function makeCandidate(deps: CandidateDeps, order: Order): Promise<Candidate> {
  const { artifacts, tell, inTurn } = deps;
  const { pinned, examples } = order;
  const { model, words, notes } = await makePasses(deps, order);
  await tell('writing', passesShare);
  const artifact = await keepModel(artifacts, model);
  const { engine, left, ...figures } = await inTurn(async () => {
    await tell('evaluating', passesShare);
    return compareVersions({
      artifacts,
      versions: {
        parent: {
          sha256: pinned.parent.artifactSha256,
          binding: pinned.binding,
          name: `version ${pinned.parent.version}`,
        },
        candidate: { sha256: artifact.sha256, binding: bindingOf(pinned, model), name: 'the result' },
      },
      examples,
      signal: never,
      onMeasuring: () => tell('measuring', (1 + passesShare) / 2),
    });
  });
  return {
    words,
    notes: left.integerProducts > 0 ? [...notes, leftoversInWords(left)] : notes,
    artifact,
    signature: registrySignature(model),
    figures,
    evaluated: { split: examples.split, examples: examples.heldOut.length },
    engine,
  };
}

/** What every report of a plan says. */
export function parentAndRows(
  { plan, parent, dataset, task }: PinnedPlan,
  { figures, evaluated }: Pick<Candidate, 'figures' | 'evaluated'>,
): Pick<Report, 'model' | 'task' | 'dataset' | 'parent'> {
  return {
    model: plan.model,
    task: task.kind,
    dataset: {
      name: dataset.dataset,
      version: dataset.version,
      split: evaluated.split,
      evaluated_rows: evaluated.examples,
    },
    parent: { version: parent.version, sha256: parent.artifactSha256, ...figures.parent },
  };
}
