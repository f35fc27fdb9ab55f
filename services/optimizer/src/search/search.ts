import { JobFailedError } from '@modelmill/store';
import type { JobClaim, JobResult } from '@modelmill/store';
import { makeCandidate, parentAndRows } from '../candidate.js';
import type { Candidate, CandidateDeps } from '../candidate.js';
import type { Examples } from '../examples.js';
import { isFinal } from '../final-error.js';
import type { Tell } from '../make-passes.js';
import { planPasses } from '../passes.js';
import type { PinnedPlan } from '../pinned-plan.js';
import { registerResult } from '../register-result.js';
import type { Figures, Tried } from '../report.js';
import type { PlannedGoal } from './goal.js';
import { candidatesFor } from './search-space.js';

export interface Search {
  readonly pinned: PinnedPlan;
  readonly examples: Examples;
  readonly goal: PlannedGoal;
}

/** A candidate that was made, by its place in the search space: its name, however often the job is tried. */
interface Point extends Candidate {
  readonly place: number;
  readonly name: string;
}

/**
 * Makes and measures candidates until the time is up, and registers those within the bounds of which no other is better
 * in accuracy, latency and size. Throws JobFailedError with the nearest one where none is within the bounds.
 */
export async function search(
  deps: CandidateDeps,
  claim: JobClaim,
  { pinned, examples, goal }: Search,
  tell: Tell,
): Promise<JobResult> {
  const { plan, parent } = pinned;
  const space = candidatesFor(goal.optimize);
  const endsAt = performance.now() + goal.budgetMs;
  const points: Point[] = [];
  const tried: Tried[] = [];
  for (const [place, { name, passes }] of space.entries()) {
    claim.signal.throwIfAborted();
    if (place > 0 && performance.now() > endsAt) {
      tried.push({ name, outcome: 'not tried: the time was up' });
      continue;
    }
    const order = { pinned, examples, passes: planPasses(passes), jobName: `${claim.job.id}-c${place}` };
    const tellOne: Tell = (stage, done) => tell(`${name}: ${stage}`, (place + done) / space.length);
    try {
      const point = { place, name, ...(await makeCandidate(deps, claim, order, tellOne)) };
      points.push(point);
      const { accuracy, p50_ms, size_bytes } = point.figures.candidate;
      tried.push({
        name,
        accuracy,
        p50_ms,
        size_bytes,
        outcome: faultOf(point.figures, plan.maxAccuracyDrop, goal) ?? '',
      });
    } catch (error) {
      if (claim.signal.aborted || !isFinal(error)) throw error;
      tried.push({ name, outcome: error.message });
    }
  }

  const within = points.filter(({ figures }) => faultOf(figures, plan.maxAccuracyDrop, goal) === undefined);
  const best = [...within].sort((a, b) => objectiveOf(a, goal) - objectiveOf(b, goal))[0];
  if (!best) throw new JobFailedError(noneWithin(points, tried, plan.maxAccuracyDrop, goal));
  const front = within.filter((point) => !within.some((other) => isBetter(other, point)));
  const told = tried.map((one) => ({ ...one, outcome: one.outcome || outcomeOf(one.name, best, front) }));
  const register = ({ model, words, notes, artifact, figures, engine, place }: Point, isBest: boolean) =>
    registerResult(deps.store, claim, {
      model,
      artifact,
      parent,
      figures,
      registration: isBest ? claim.job.id : `${claim.job.id}-c${place}`,
      report: {
        ...parentAndRows(pinned, examples, figures.parent),
        job: claim.job.id,
        passes: words,
        notes,
        search: told,
        candidate: { sha256: artifact.sha256, ...figures.candidate },
        engine,
      },
    });
  for (const point of front) if (point !== best) await register(point, false);
  return register(best, true);
}

/** Why a candidate is out of bounds; undefined where it is within. */
function faultOf(
  { parent, candidate }: Candidate['figures'],
  maxDrop: number,
  { optimize, maxLatencyMs, maxBytes }: PlannedGoal,
): string | undefined {
  const drop = parent.accuracy - candidate.accuracy;
  if (drop > maxDrop + 1e-9) return `accuracy fell by ${drop.toFixed(4)}, more than ${maxDrop}`;
  if (candidate.p50_ms > maxLatencyMs) return `${candidate.p50_ms.toFixed(3)} ms, more than ${maxLatencyMs}`;
  if (candidate.size_bytes > maxBytes) return `${candidate.size_bytes} bytes, more than ${maxBytes}`;
  if (optimize === 'fastest' && candidate.p50_ms >= parent.p50_ms) return 'not faster than its parent';
  if (optimize === 'smallest' && candidate.size_bytes >= parent.size_bytes) return 'not smaller than its parent';
  return undefined;
}

const objectiveOf = ({ figures: { candidate } }: Candidate, { optimize }: PlannedGoal) =>
  optimize === 'fastest' ? candidate.p50_ms : candidate.size_bytes;

/** At least as good in everything, and better in something. */
function isBetter({ figures: { candidate: a } }: Candidate, { figures: { candidate: b } }: Candidate): boolean {
  const pairs = [
    [b.accuracy, a.accuracy],
    [a.p50_ms, b.p50_ms],
    [a.size_bytes, b.size_bytes],
  ] as const;
  return pairs.every(([less, more]) => less <= more) && pairs.some(([less, more]) => less < more);
}

function outcomeOf(name: string, best: Point, front: readonly Point[]): string {
  if (name === best.name) return 'the best';
  return front.some((point) => point.name === name)
    ? 'none is better in everything'
    : 'another is better in everything';
}

function noneWithin(points: readonly Point[], tried: readonly Tried[], maxDrop: number, goal: PlannedGoal): string {
  const bounds = [
    goal.optimize === 'fastest' ? 'a faster answer than its parent' : 'fewer bytes than its parent',
    `an accuracy drop of at most ${maxDrop}`,
    ...(goal.maxLatencyMs < Infinity ? [`at most ${goal.maxLatencyMs} ms`] : []),
    ...(goal.maxBytes < Infinity ? [`at most ${goal.maxBytes} bytes`] : []),
  ].join(', ');
  const dropOf = ({ figures }: Point) => figures.parent.accuracy - figures.candidate.accuracy;
  const nearest = [...points].sort(
    (a, b) =>
      Math.max(dropOf(a), maxDrop) - Math.max(dropOf(b), maxDrop) || objectiveOf(a, goal) - objectiveOf(b, goal),
  )[0];
  if (!nearest) return `none of ${tried.length} candidates could be made: ${tried[0]?.outcome ?? ''}`;
  const { accuracy, p50_ms, size_bytes }: Figures = nearest.figures.candidate;
  const outcome = tried.find(({ name }) => name === nearest.name)!.outcome;
  return (
    `none of ${tried.length} candidates has ${bounds}; the nearest is ${nearest.name}: accuracy ${accuracy.toFixed(4)}, ` +
    `${p50_ms.toFixed(3)} ms, ${size_bytes} bytes (${outcome})`
  );
}
