import { isDeepStrictEqual } from 'node:util';
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
import { numbersOf } from '../pinned-plan.js';
import { refinements } from './refine.js';
import { openSearchLog } from './search-log.js';
import type { Attempt, LayerOrder } from './search-log.js';
import { firstCandidates, mostCandidates } from './search-space.js';
import type { SearchCandidate } from './search-space.js';

export interface Search {
  readonly pinned: PinnedPlan;
  readonly maker: Maker;
  readonly goal: PlannedGoal;
}

/** A candidate that was made. Its place among those tried names its version, and what it was first to train, at every try. */
interface Point extends Candidate {
  readonly place: number;
  readonly name: string;
  readonly passes: SearchCandidate['passes'];
}

/** Candidates around the best that may bring nothing, one after the other, before a search ends. */
const patience = 12;
/** What is less is no gain but noise. */
const leastGain = 0.01;
/** A candidate in whose making the optimizer died so often is left. */
const mostDeaths = 2;
const layersMs = 20_000;
const layersRows = 256;

/**
 * Makes and measures candidates, first those of the space, then others around the best, until the time is up or nothing
 * gets better; registers those within the bounds of which no other is better in accuracy, latency and size. Throws
 * JobFailedError with the nearest one where none is within the bounds.
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
  const space = firstCandidates(goal.optimize);
  const log = await openSearchLog(store.artifacts, claim, numbersOf(plan), Date.now());
  const endsAt = log.begunAt + goal.budgetMs;
  const isTimeUp = () => log.attempts.length > 0 && Date.now() > endsAt;
  for (;;) {
    claim.signal.throwIfAborted();
    if (isTimeUp() || log.attempts.length === mostCandidates) break;
    const candidate = space.find(({ name }) => log.attempts.every((one) => one.name !== name)) ?? (await refined());
    if (!candidate) break;
    await log.add({ ...candidate, result: await attempted(candidate) });
  }

  async function attempted({ name, passes }: SearchCandidate): Promise<Attempt['result']> {
    const place = log.attempts.length;
    const most = Math.max(space.length, place + 1);
    const tellOne: Tell = (stage, done) => tell(`${name}: ${stage}`, (place + done) / most);
    if ((await log.begin(name)) > mostDeaths)
      return { failure: `the optimizer ended ${mostDeaths} times while it was made` };
    try {
      return await maker.make(passes, (pass) => `${claim.job.id}-c${firstWith(passes.slice(0, pass + 1))}`, tellOne);
    } catch (error) {
      if (claim.signal.aborted || !isFinal(error)) throw error;
      return { failure: error.message };
    }
  }

  /** The place of the first candidate that was made and began with these passes: what it trained, another need not train again. */
  function firstWith(passes: SearchCandidate['passes']): number {
    const same = log.attempts.findIndex(
      (one) =>
        !('failure' in one.result) &&
        passes.every((pass, at) => one.passes[at] !== undefined && isDeepStrictEqual(pass, one.passes[at])),
    );
    return same < 0 ? log.attempts.length : same;
  }

  /** The next candidate around the best; undefined where the last ones brought nothing, or there is none. */
  async function refined(): Promise<SearchCandidate | undefined> {
    const first = bestOf(pointsOf(log.attempts.slice(0, space.length)), bounds);
    if (idleFor(log.attempts.slice(space.length), first) >= patience) return undefined;
    const known = pointsOf(log.attempts).map((point) => ({
      ...point,
      drop: dropOf(task.kind, point.figures.parent, point.figures.candidate),
      isGood: gateFault(task.kind, point.figures, plan.bound) === undefined,
    }));
    const usesLayers = known.some(({ passes: [first] }) => first?.kind?.$case === 'quantizeStatic');
    if (usesLayers && !log.layers) await log.keepLayers(await orderOfLayers());
    const tried = new Set(log.attempts.map(({ name }) => name));
    return refinements(known, goal.optimize, log.layers).find(({ name }) => !tried.has(name));
  }

  /** Empty where the layers cannot be measured: there is still something to find without it. */
  async function orderOfLayers(): Promise<LayerOrder> {
    await tell('measuring layers', 1);
    const layers = await measuredLayers();
    const minding = layers.filter(({ forms }) => forms.length > 0);
    return {
      sensitive: [...minding].sort((a, b) => a.forms[0]!.sqnrDb - b.forms[0]!.sqnrDb).map(({ name }) => name),
      slower: minding.filter(({ floatMs, int8Ms }) => int8Ms > floatMs).map(({ name }) => name),
    };
  }

  async function measuredLayers() {
    const budgetMs = Math.min(layersMs, goal.budgetMs / 5);
    try {
      return (await maker.measure({ rows: layersRows, budgetMs, modelForms: ['int8'], layerForms: ['int8'] })).layers;
    } catch (error) {
      if (claim.signal.aborted || !isFinal(error)) throw error;
      return [];
    }
  }

  /** How many of the last attempts brought nothing. */
  function idleFor(attempts: readonly Attempt[], first: Point | undefined): number {
    let [best, idle] = [first ? objectiveOf(first, goal) : Infinity, 0];
    for (const { result } of attempts) {
      idle++;
      if ('failure' in result || faultOf(result, bounds) !== undefined) continue;
      const reached = objectiveOf(result, goal);
      if (reached < (1 - leastGain) * best) idle = 0;
      best = Math.min(best, reached);
    }
    return idle;
  }

  const points = pointsOf(log.attempts);
  const tried = [
    ...log.attempts.map(({ name, result }): Tried => {
      if ('failure' in result) return { name, outcome: result.failure };
      const { p50_ms, size_bytes, [metric]: quality } = result.figures.candidate;
      return { name, [metric]: quality, p50_ms, size_bytes, outcome: faultOf(result, bounds) ?? '' };
    }),
    ...space.slice(log.attempts.length).map(({ name }) => ({ name, outcome: 'not tried: the time was up' })),
  ];
  const within = points.filter((point) => faultOf(point, bounds) === undefined);
  const best = bestOf(points, bounds);
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

const pointsOf = (attempts: readonly Attempt[]): Point[] =>
  attempts.flatMap(({ name, passes, result }, place) =>
    'failure' in result ? [] : [{ ...result, place, name, passes }],
  );

const bestOf = (points: readonly Point[], bounds: Bounds): Point | undefined =>
  points
    .filter((point) => faultOf(point, bounds) === undefined)
    .sort((a, b) => objectiveOf(a, bounds.goal) - objectiveOf(b, bounds.goal))[0];

/** What a candidate must keep to. */
interface Bounds {
  readonly kind: Task['kind'];
  readonly bound: OptimizationPlan['bound'];
  readonly goal: PlannedGoal;
}

/** Why a candidate is out of bounds; undefined where it is within. */
function faultOf({ figures, report }: Measured, { kind, bound, goal }: Bounds): string | undefined {
  const { parent, candidate } = figures;
  const { optimize, maxLatencyMs, maxBytes } = goal;
  const fault = gateFault(kind, figures, bound);
  if (fault !== undefined) return fault;
  if (candidate.p50_ms > maxLatencyMs) return `${candidate.p50_ms.toFixed(3)} ms, more than ${maxLatencyMs}`;
  if (candidate.size_bytes > maxBytes) return `${candidate.size_bytes} bytes, more than ${maxBytes}`;
  if (optimize === 'fastest' && report.speed.verdict !== 'faster') return 'not faster than its parent';
  if (optimize === 'smallest' && candidate.size_bytes >= parent.size_bytes) return 'not smaller than its parent';
  return undefined;
}

type Measured = Pick<Candidate, 'figures' | 'report'>;

/** Times by the parent's, measured in alternation: candidates are measured at other times, when the machine may be slower. */
const objectiveOf = (measured: Measured, { optimize }: PlannedGoal) =>
  optimize === 'fastest' ? timeOf(measured) : measured.figures.candidate.size_bytes;
const timeOf = ({ report }: Measured) => 1 / report.speed.ratio;

/** At least as good in everything, and better in something. */
function isBetter(a: Candidate, b: Candidate, kind: Task['kind']): boolean {
  const pairs = [
    [qualityOf(kind, b.figures.candidate), qualityOf(kind, a.figures.candidate)],
    [timeOf(a), timeOf(b)],
    [a.figures.candidate.size_bytes, b.figures.candidate.size_bytes],
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
