import { availableParallelism } from 'node:os';
import type { DataParallelStep } from '@modelmill/autodiff';
import { openTeam } from '@modelmill/runtime';
import type { StatefulSession, TypedTensor } from '@modelmill/runtime';
import { dataParallelPlan, stepProgram, updateProgram } from './data-parallel-programs.js';
import { kernelOf } from './update-kernel.js';
import { trainingSessions } from './training-sessions.js';

type Tensors = Readonly<Record<string, TypedTensor>>;

/**
 * Computes steps by a team of threads, each with its share of the batch. `advance` makes the update, in place, when the next
 * step begins or the state is asked for: until then nothing but gradients has changed. `threads`: 0 is one per core.
 * `withKernel`: false is as where memory is larger than a kernel can address, by graphs alone.
 */
export async function openDataParallelSession(
  step: DataParallelStep,
  threads: number,
  withKernel = true,
): Promise<Omit<StatefulSession, 'provider'>> {
  const { memory, members } = dataParallelPlan(step, threads || availableParallelism(), withKernel);
  const { numbers } = memory;
  const team = await openTeam(memory.buffer, members, trainingSessions, kernelOf(memory));
  const rates = [...memory.rates].map(([name, of]) => [name, numbers(of) as Float32Array] as const);
  const feeds = [...memory.feeds].map(([name, of]) => ({ name, room: numbers(of), dims: of.dims }));
  const losses = memory.losses.map((of) => numbers(of) as Float32Array);
  const squares = memory.squares.map((of) => numbers(of) as Float32Array);
  const state = step.state.map(({ input }) => {
    const of = memory.state.get(input)!;
    return { input, dims: of.dims, room: numbers(of) as Float32Array };
  });
  /** What the last run was fed for its update, until that is asked for. */
  let computed: ReadonlyMap<string, number> | undefined;
  let hasUpdate = false;

  async function settle(): Promise<void> {
    if (!hasUpdate) return;
    hasUpdate = false;
    await team.run([updateProgram]);
  }

  return {
    async run(fed, by = 'model') {
      if (by !== 'model') throw new Error('a data parallel step gathers no gradients');
      for (const { name, room, dims } of feeds) {
        const got = fed[name];
        if (got?.data.length !== room.length) {
          throw new Error(`'${name}' is ${got ? `[${got.dims}]` : 'missing'}, wants [${dims}]`);
        }
        (room as Float32Array).set(got.data as Float32Array);
      }
      await team.run(hasUpdate ? [updateProgram, stepProgram] : [stepProgram]);
      hasUpdate = false;
      const norm = Math.fround(Math.sqrt(squares.reduce((sum, of) => sum + of[0]!, 0)));
      const loss = losses.reduce((sum, of) => sum + of[0]!, 0);
      computed = new Map(
        rates.map(([name]) => [
          name,
          name === step.scale ? Math.min(1, step.clipNorm / norm) : (fed[name]!.data as Float32Array)[0]!,
        ]),
      );
      return { [step.outputs.loss]: scalar(loss), [step.outputs.gradientNorm]: scalar(norm) };
    },
    advance() {
      if (computed === undefined) throw new Error('advance comes after a run');
      for (const [name, room] of rates) room[0] = computed.get(name)!;
      computed = undefined;
      hasUpdate = true;
    },
    async state() {
      await settle();
      return Object.fromEntries(state.map(({ input, dims, room }) => [input, { dims, data: Float32Array.from(room) }]));
    },
    setState(given: Tensors) {
      hasUpdate = false;
      computed = undefined;
      for (const { input, dims, room } of state) {
        const got = given[input];
        if (got?.data.length !== room.length) {
          throw new Error(`state '${input}' is ${got ? `[${got.dims}]` : 'missing'}, wants [${dims}]`);
        }
        room.set(got.data as Float32Array);
      }
    },
    [Symbol.asyncDispose]: () => team[Symbol.asyncDispose](),
  };
}

const scalar = (value: number): TypedTensor => ({ dims: [], data: Float32Array.of(value) });
