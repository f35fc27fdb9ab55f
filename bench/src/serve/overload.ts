import type { Contest } from '../alternate.js';
import { heavyModel, heavyNetworks } from './heavy-networks.js';
import { flood, perSecond } from './load.js';
import { callStraight, serveModel } from './stage.js';
import type { Stage } from './stage.js';

const times = 10;
const callers = 64;
const refusalGoalMs = 10;

/** Of networks that take so long that asking ten times as often as they answer takes little of the cores. */
const networks = { 'bert-base': { deadlineMs: 2000, seconds: 10 }, 'minilm-l12': { deadlineMs: 1000, seconds: 5 } };

/** Ten times the requests that can be answered, each with a deadline: what is still answered, and how soon the rest is told. */
export async function overload(stage: Stage): Promise<Contest[]> {
  const contests: Contest[] = [];
  for (const [name, { deadlineMs, seconds }] of Object.entries(networks)) {
    const { words, rows } = heavyNetworks[name]!;
    const { model, row } = heavyModel(name);
    await serveModel(stage, name, model);
    const call = callStraight(stage, row);
    let peak = await perSecond(() => call(), callers, rows);
    const flooded = () => flood(call, { rate: peak * times, seconds, deadlineMs });
    contests.push(
      {
        case: `${words}, ${times} times overload, deadlines of ${deadlineMs} ms, answers in time`,
        unit: 'answers/s',
        better: 'higher',
        against: `what ${callers} callers get`,
        goal: 0.8,
        ours: async () => (await flooded()).goodput,
        theirs: async () => (peak = await perSecond(() => call(), callers, rows)),
      },
      {
        case: `${words}, ${times} times overload, 99 in 100 refusals within`,
        unit: 'ms',
        better: 'lower',
        against: `${refusalGoalMs} ms`,
        goal: 1,
        ours: async () => (await flooded()).refusedP99Ms,
        theirs: () => Promise.resolve(refusalGoalMs),
      },
    );
  }
  return contests;
}
