import { trainer } from '@modelmill/contracts';
import { isDue, planPruning, prunedState, pruningTimes, sparsityAt } from './gradual-pruning.js';

const group = { weights: ['w'], initialSparsity: 0.2, finalSparsity: 0.9 };
const planOf = (fields: object = {}) =>
  planPruning(trainer.GradualPruning.fromPartial({ groups: [group], begin: 0.1, end: 0.6, ...fields }));

describe('gradual pruning', () => {
  it('goes by a cubic curve: s_i at the beginning, s_f + (s_i − s_f)/8 half-way, s_f at the end (case 16)', () => {
    const plan = planOf();
    const times = pruningTimes(plan, 1000);
    const at = (step: number) => sparsityAt(plan.groups[0]!, times, step);
    expect(at(100)).toBe(0.2);
    expect(at(350)).toBeCloseTo(0.9 + (0.2 - 0.9) / 8, 15);
    expect(at(600)).toBe(0.9);
    expect(at(999)).toBe(0.9);
  });

  it.each<[object, number, number[]]>([
    [{ every: 100 }, 1000, [100, 200, 300, 400, 500, 600]],
    [{ every: 200 }, 1000, [100, 300, 500, 600]],
    [{ begin: 0, end: 1, every: 4 }, 10, [0, 4, 8, 9]],
    [{ begin: 0.5, end: 0.5 }, 10, [5]],
    [{ begin: 0.99, end: 1 }, 3, [2]],
  ])('of %j in %i steps comes before steps %j', (fields, steps, due) => {
    const times = pruningTimes(planOf(fields), steps);
    expect([...Array(steps).keys()].filter((step) => isDue(times, step))).toEqual(due);
  });

  it('prunes twenty times where nothing is said, and ends at three quarters', () => {
    const times = pruningTimes(planOf({ begin: 0, end: 0 }), 1000);
    const due = [...Array(1000).keys()].filter((step) => isDue(times, step));
    expect([due.length, due.at(-1)]).toEqual([20, 750]);
  });

  it('makes averages zero where their weights are, and leaves the state it is given', () => {
    const plan = planOf();
    const of = (kind: 'weight' | 'weight average', input: string, more: object = {}) => ({
      ...{ kind, input, output: '', dims: [2, 2], initial: new Float32Array(4) },
      ...more,
    });
    const tensors = [of('weight', 'w'), of('weight average', 'average/w', { of: 'w' }), of('weight', 'v')];
    const state = Object.fromEntries(
      tensors.map(({ input }) => [input, { dims: [2, 2], data: Float32Array.of(4, -3, 2, 1) }]),
    );
    const next = prunedState(state, tensors, plan, pruningTimes(plan, 1000), 800);
    expect(next['w']!.data).toEqual(Float32Array.of(4, 0, 0, 0));
    expect(next['average/w']!.data).toEqual(Float32Array.of(4, 0, 0, 0));
    expect(next['v']).toBe(state['v']);
    expect(state['w']!.data).toEqual(Float32Array.of(4, -3, 2, 1));
  });

  it.each<[object, string]>([
    [{ groups: [] }, 'pruning.groups is empty, wants at least one group'],
    [{ groups: [{ ...group, weights: [] }] }, 'pruning.groups[0].weights is empty, wants at least one name'],
    [{ groups: [group, group] }, "pruning.groups[1].weights names 'w', which an earlier name is already"],
    [{ groups: [{ ...group, finalSparsity: 1 }] }, 'pruning.groups[0].final_sparsity is 1, wants more than 0'],
    [{ groups: [{ ...group, initialSparsity: 0.95 }] }, 'pruning.groups[0].initial_sparsity is 0.95, wants 0 to 0.9'],
    [{ begin: 1 }, 'pruning.begin is 1, wants at least 0 and less than 1'],
    [{ end: 0.05 }, 'pruning.end is 0.05, wants 0.1 to 1'],
  ])('refuses %j by the field', (fields, message) => expect(() => planOf(fields)).toThrow(message));
});
