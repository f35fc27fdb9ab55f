import type { registry } from '@modelmill/contracts';
import { compareVersions } from './compare-versions.js';
import type { Compared } from './compare-versions.js';
import { registrySignature } from './binding.js';
import { lineageOf, withLineage, workplace } from './lineage.js';
import { bindingOf, makePasses, never, passesShare } from './make-passes.js';
import type { MadePasses, Order, PassDeps } from './make-passes.js';
import { keepModel } from './model-files.js';
import type { MadeCandidate } from './process/pass-calls.js';
import { leftoversInWords } from './quantize/leftovers.js';
import type { Figures } from './report.js';
import type { Speed } from './speed.js';
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
  const { pinned, examples, passes } = order;
  const { parent, binding } = pinned;
  const made = await makePasses(deps, order);
  const model = withLineage(made.model, lineageOf(pinned, passes), workplace());
  await tell('writing', passesShare);
  const artifact = await keepModel(artifacts, model);
  const compared = await inTurn(async () => {
    await tell('evaluating', passesShare);
    return compareVersions({
      artifacts,
      versions: {
        parent: { sha256: parent.artifactSha256, binding, name: `version ${parent.version}` },
        candidate: { sha256: artifact.sha256, binding: bindingOf(pinned, model), name: 'the result' },
      },
      examples,
      signal: never,
      onMeasuring: () => tell('measuring', (1 + passesShare) / 2),
    });
  });
  const figures = { parent: compared.parent, candidate: compared.candidate };
  const report = reportOf(order, made, artifact.sha256, compared);
  return { artifact, signature: registrySignature(model), figures, report };
}

function reportOf(
  { pinned, examples, passes }: Order,
  made: MadePasses,
  sha256: string,
  { left, speed, batchSpeed, engine, ...figures }: Compared,
): MadeCandidate['report'] {
  const { plan, parent, dataset, task } = pinned;
  return {
    model: plan.model,
    passes: made.words,
    notes: [...made.notes, leftoversInWords(left), ...slower(speed)],
    task: task.kind,
    dataset: {
      name: dataset.dataset,
      version: dataset.version,
      split: examples.split,
      evaluated_rows: examples.heldOut.length,
    },
    parent: { version: parent.version, sha256: parent.artifactSha256, ...figures.parent },
    candidate: { sha256, ...figures.candidate },
    speed,
    batch_speed: batchSpeed,
    ...predicted(figures),
    operators: {
      integer_products: left.integerProducts,
      float_products: left.floatProducts,
      quantize_dequantize: left.pairs,
    },
    engine,
    lineage: lineageOf(pinned, passes),
  };
}

const slower = ({ verdict }: Speed) =>
  verdict === 'slower' ? ['It is slower than its parent: no rule moves a label to it.'] : [];

/** Of a network that computes less; nothing where its sizes are unknown. */
function predicted({ parent, candidate }: Readonly<Record<'parent' | 'candidate', Figures>>) {
  if (parent.multiply_adds === undefined || candidate.multiply_adds === undefined) return {};
  const speedup = parent.multiply_adds / candidate.multiply_adds;
  return Math.abs(speedup - 1) < 0.01 ? {} : { predicted: { speedup, by: 'multiply-adds' } };
}
