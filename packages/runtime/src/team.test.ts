import { emptyGraph, makeNode } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { openTeam } from './team.js';
import type { SharedTensor, TeamMember, TeamTask } from './team-program.js';

const length = 8;
const at = (place: number, dims: readonly number[] = [length]): SharedTensor => ({
  type: 'float32',
  dims,
  at: 64 * place,
});

/** y = x + b, of eight floats. */
function adding(op = 'Add'): Model {
  const graph = emptyGraph('adding');
  const value = (name: string) => ({ name, dataType: 'float' as const, shape: [length] });
  graph.inputs = [value('x'), value('b')];
  graph.outputs = [value('y')];
  graph.nodes = [makeNode(op, ['x', 'b'], ['y'])];
  return {
    irVersion: 8,
    opsets: new Map([['', 18]]),
    producer: '',
    metadata: new Map(),
    graph,
    functions: [],
  };
}

const add = (x: number, b: number, y: number): TeamTask => ({
  kind: 'run',
  model: 0,
  inputs: { x: at(x), b: at(b) },
  outputs: { y: at(y) },
});
const meet: TeamTask = { kind: 'meet' };
const member = (...programs: TeamTask[][]): TeamMember => ({ models: [{ model: adding(), threads: 1 }], programs });

function memory(places: number) {
  const buffer = new SharedArrayBuffer(64 * places);
  return { buffer, numbers: (place: number, count = length) => new Float32Array(buffer, 64 * place, count) };
}

describe('a team', () => {
  it('reads after a meeting what other threads wrote before it, thousands of times, in place', async () => {
    const { buffer, numbers } = memory(4);
    numbers(3).fill(1);
    // 0 and 1 take turns: each thread makes its own from the other one's, and one more
    await using team = await openTeam(buffer, [
      member([add(1, 3, 2), meet, add(2, 3, 0), meet]),
      member([meet, meet, add(0, 3, 1)]),
    ]);
    for (let turn = 0; turn < 2_000; turn++) await team.run([0]);
    expect([...numbers(1)]).toEqual(Array(length).fill(3 * 2_000));
  });

  it('does the programs that are asked for, in the order of their numbers', async () => {
    const { buffer, numbers } = memory(3);
    numbers(1).fill(1);
    numbers(2).fill(10);
    await using team = await openTeam(buffer, [member([add(0, 1, 0)], [add(0, 0, 0)], [add(0, 2, 0)])]);
    await team.run([2, 1]);
    expect(numbers(0)[0]).toBe(10); // 0 + 0, then 10 more
    await team.run([0, 1]);
    expect(numbers(0)[7]).toBe(22);
  });

  it('adds rows to a table, and clears them, each thread those that are its own', async () => {
    const { buffer, numbers } = memory(64);
    new BigInt64Array(buffer, 0, 4).set([1n, 3n, -1n, 1n]); // the last of four rows is 3, too
    numbers(1).set([1, 2, 3, 4, 5, 6, 7, 8]);
    const rows = {
      positions: [{ type: 'int64' as const, dims: [4, 1], at: 0 }],
      rows: [at(1, [4, 2])],
      table: at(2, [4, 2]),
    };
    const tasks = (from: number, to: number) =>
      member([{ kind: 'add rows', ...rows, from, to }], [{ kind: 'clear rows', ...rows, from, to }]);
    await using team = await openTeam(buffer, [tasks(0, 2), tasks(2, 4)]);
    numbers(2)[0] = 9;
    await team.run([0]);
    expect([...numbers(2)]).toEqual([9, 0, 8, 10, 0, 0, 8, 10]);
    await team.run([1]);
    expect([...numbers(2)]).toEqual([9, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('says which model cannot be loaded', async () => {
    const { buffer } = memory(1);
    const broken: TeamMember = { models: [{ model: adding('NoSuchOperator'), threads: 1 }], programs: [[]] };
    await expect(openTeam(buffer, [member([]), broken])).rejects.toThrow('NoSuchOperator');
  });

  it('says what a thread failed at, lets the others end, and runs no more', async () => {
    const { buffer } = memory(2);
    const failing: TeamTask = { kind: 'run', model: 0, inputs: { x: at(0), b: at(0, [4]) }, outputs: { y: at(1) } };
    await using team = await openTeam(buffer, [member([failing, meet]), member([meet, add(0, 0, 1)])]);
    await expect(team.run([0])).rejects.toThrow(/invalid dimensions/);
    await expect(team.run([0])).rejects.toThrow(/invalid dimensions/);
  });

  it('ends after the turn that is under way', async () => {
    const { buffer, numbers } = memory(2);
    numbers(0).fill(2);
    const team = await openTeam(buffer, [member([meet, add(0, 0, 1), meet]), member([meet, meet])]);
    const running = team.run([0]);
    await team[Symbol.asyncDispose]();
    await running;
    expect(numbers(1)[7]).toBe(4);
  });
});
