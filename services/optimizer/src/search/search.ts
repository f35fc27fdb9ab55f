import { JobFailedError } from '@modelmill/store';
import type { JobClaim, JobResult, Store } from '@modelmill/store';
import type { Candidate } from '../candidate.js';
import { isFinal } from '../final-error.js';
import { boundInWords, dropOf, gateFault, gateMetric, qualityOf } from '../gate.js';
import type { Tell } from '../make-passes.js';
import type { OptimizationPlan } from '../optimization-plan.js';
import type { PinnedPlan } from '../pinned-plan.js';
import type { Maker } from '../process/make-in-process.js';
import { registerResult } from '../register-result.js';
import type { Tried } from '../report.js';
import type { Task } from '../task.js';
import type { PlannedGoal } from './goal.js';
import { candidatesFor } from './search-space.js';

export interface Search {
  readonly pinned: PinnedPlan;
  readonly maker: Maker;
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
  store: Pick<Store, 'registry' | 'artifacts'>,
  claim: JobClaim,
  { pinned, maker, goal }: Search,
  tell: Tell,
): Promise<JobResult> {
  const { plan, parent, task } = pinned;
  const bounds: Bounds = { kind: task.kind, bound: plan.bound, goal };
  const metric = gateMetric(task.kind);
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
    const tellOne: Tell = (stage, done) => tell(`${name}: ${stage}`, (place + done) / space.length);
    try {
      const point = { place, name, ...(await maker.make(passes, `${claim.job.id}-c${place}`, tellOne)) };
      points.push(point);
      const { p50_ms, size_bytes, [metric]: quality } = point.figures.candidate;
      tried.push({ name, [metric]: quality, p50_ms, size_bytes, outcome: faultOf(point.figures, bounds) ?? '' });
    } catch (error) {
      if (claim.signal.aborted || !isFinal(error)) throw error;
      tried.push({ name, outcome: error.message });
    }
  }

  const within = points.filter(({ figures }) => faultOf(figures, bounds) === undefined);
  const best = [...within].sort((a, b) => objectiveOf(a, goal) - objectiveOf(b, goal))[0];
  if (!best) throw new JobFailedError(noneWithin(points, tried, bounds));
  const front = within.filter((point) => !within.some((other) => isBetter(other, point, task.kind)));
  const told = tried.map((one) => ({ ...one, outcome: one.outcome || outcomeOf(one.name, best, front) }));
  const register = (point: Point, isBest: boolean) =>
    registerResult(store, claim, {
      ...point,
      parent,
      registration: isBest ? claim.job.id : `${claim.job.id}-c${point.place}`,
      report: { ...point.report, job: claim.job.id, search: told },
    });
  for (const point of front) if (point !== best) await register(point, false);
  return register(best, true);
}

/** What a candidate must keep to. */
interface Bounds {
  readonly kind: Task['kind'];
  readonly bound: OptimizationPlan['bound'];
  readonly goal: PlannedGoal;
}

/** Why a candidate is out of bounds; undefined where it is within. */
function faultOf(figures: Candidate['figures'], { kind, bound, goal }: Bounds): string | undefined {
  const { parent, candidate } = figures;
  const { optimize, maxLatencyMs, maxBytes } = goal;
  const fault = gateFault(kind, figures, bound);
  if (fault !== undefined) return fault;
  if (candidate.p50_ms > maxLatencyMs) return `${candidate.p50_ms.toFixed(3)} ms, more than ${maxLatencyMs}`;
  if (candidate.size_bytes > maxBytes) return `${candidate.size_bytes} bytes, more than ${maxBytes}`;
  if (optimize === 'fastest' && candidate.p50_ms >= parent.p50_ms) return 'not faster than its parent';
  if (optimize === 'smallest' && candidate.size_bytes >= parent.size_bytes) return 'not smaller than its parent';
  return undefined;
}

const objectiveOf = ({ figures: { candidate } }: Candidate, { optimize }: PlannedGoal) =>
  optimize === 'fastest' ? candidate.p50_ms : candidate.size_bytes;

/** At least as good in everything, and better in something. */
function isBetter(
  { figures: { candidate: a } }: Candidate,
  { figures: { candidate: b } }: Candidate,
  kind: Task['kind'],
): boolean {
  const pairs = [
    [qualityOf(kind, b), qualityOf(kind, a)],
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

function noneWithin(points: readonly Point[], tried: readonly Tried[], { kind, bound, goal }: Bounds): string {
  const bounds = [
    goal.optimize === 'fastest' ? 'a faster answer than its parent' : 'fewer bytes than its parent',
    boundInWords(kind, bound),
    ...(goal.maxLatencyMs < Infinity ? [`at most ${goal.maxLatencyMs} ms`] : []),
    ...(goal.maxBytes < Infinity ? [`at most ${goal.maxBytes} bytes`] : []),
  ].join(', ');
  const { maxDrop } = bound;
  const lost = ({ figures }: Point) => dropOf(kind, figures.parent, figures.candidate);
  const nearest = [...points].sort(
    (a, b) => Math.max(lost(a), maxDrop) - Math.max(lost(b), maxDrop) || objectiveOf(a, goal) - objectiveOf(b, goal),
  )[0];
  if (!nearest) return `none of ${tried.length} candidates could be made: ${tried[0]?.outcome ?? ''}`;
  const metric = gateMetric(kind);
  const { p50_ms, size_bytes, [metric]: quality } = nearest.figures.candidate;
  const outcome = tried.find(({ name }) => name === nearest.name)!.outcome;
  return (
    `none of ${tried.length} candidates has ${bounds}; the nearest is ${nearest.name}: ${metric} ${quality?.toFixed(4) ?? '-'}, ` +
    `${p50_ms.toFixed(3)} ms, ${size_bytes} bytes (${outcome})`
  );
}
