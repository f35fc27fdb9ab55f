import { writeOnnx } from '@modelmill/onnx';
import type { ArtifactRef, JobClaim, Store } from '@modelmill/store';
import { compareVersions } from './compare-versions.js';
import type { Examples } from './examples.js';
import { leftoversInWords } from './quantize/leftovers.js';
import { bindingOf, makePasses } from './make-passes.js';
import type { MadePasses, Order, Tell } from './make-passes.js';
import type { PinnedPlan } from './pinned-plan.js';
import type { Engine, Figures, Report } from './report.js';
import type { Trainers } from './trainers.js';
import type { InTurn } from './turns.js';

export type OptimizeStore = Pick<Store, 'registry' | 'datasets' | 'jobs' | 'artifacts'>;

export interface CandidateDeps {
  readonly store: OptimizeStore;
  readonly trainers: Trainers;
  /** Latencies are measured by one job at a time. */
  readonly inTurn: InTurn;
}

/** What passes made, measured beside what they were made from. */
export interface Candidate extends MadePasses {
  readonly artifact: ArtifactRef;
  readonly figures: { readonly parent: Figures; readonly candidate: Figures };
  readonly engine: Engine;
}

/** Share of the work that passes make up; the rest is evaluation. */
const passesShare = 0.8;

export async function makeCandidate(
  deps: CandidateDeps,
  claim: JobClaim,
  order: Order,
  tell: Tell,
): Promise<Candidate> {
  const { artifacts } = deps.store;
  const { pinned, examples } = order;
  const made = await makePasses(deps, claim, order, (stage, done) => tell(stage, passesShare * done));
  const artifact = await artifacts.put(writeOnnx(made.model));
  const { engine, left, ...figures } = await deps.inTurn(async () => {
    claim.signal.throwIfAborted();
    await tell('evaluating', passesShare);
    return compareVersions({
      artifacts,
      versions: {
        parent: {
          sha256: pinned.parent.artifactSha256,
          binding: pinned.binding,
          name: `version ${pinned.parent.version}`,
        },
        candidate: { sha256: artifact.sha256, binding: bindingOf(pinned, made.model), name: 'the result' },
      },
      examples,
      signal: claim.signal,
      onMeasuring: () => tell('measuring', (1 + passesShare) / 2),
    });
  });
  const notes = left.integerProducts > 0 ? [...made.notes, leftoversInWords(left)] : made.notes;
  return { ...made, notes, artifact, figures, engine };
}

/** What every report of a plan says. */
export function parentAndRows(
  { plan, parent, dataset, task }: PinnedPlan,
  examples: Examples,
  figures: Figures,
): Pick<Report, 'model' | 'task' | 'dataset' | 'parent'> {
  return {
    model: plan.model,
    task: task.kind,
    dataset: {
      name: dataset.dataset,
      version: dataset.version,
      split: examples.split,
      evaluated_rows: examples.heldOut.length,
    },
    parent: { version: parent.version, sha256: parent.artifactSha256, ...figures },
  };
}
