import type { Model } from '@modelmill/onnx';
import type { DescribedStep, StateTensor } from './described-step.js';
import { emit } from './emit.js';
import { fasterForms } from './faster-forms.js';
import { add, make, mul, sumSquare, times } from './ops.js';
import { productsIn } from './products-in.js';
import type { LossTerm, OptimizerSpec, StepOptions } from './step-options.js';
import { nameOf, stepValues, usedBy } from './step-values.js';
import type { UpdateRow } from './update-rows.js';
import { moved, updateWith } from './updates.js';
import { input, scalar, size } from './value.js';
import type { Shape, Value } from './value.js';

/** What an update works on, element by element: weights, their averages, or one of the optimizer's slots. */
export type Part = 'weights' | 'averages' | number;

/** Weights that are updated alike at once: they lie one after the other, as what belongs to them does. */
export interface ParallelRow {
  readonly members: readonly {
    readonly weight: string;
    /** The state that averages it, where one is kept. */
    readonly average: string | undefined;
    /** The output of a share; undefined of a table. */
    readonly gradient: string | undefined;
    readonly length: number;
  }[];
  readonly length: number;
  /** The optimizer's state of all of the row. */
  readonly slots: readonly string[];
  readonly rateScale: number;
  readonly decay: number;
  /** Of a large table that a batch reads few rows of: shares give what is to be added there, to a gradient of zeros. */
  readonly table: ParallelTable | undefined;
}

export interface ParallelTable {
  /** [rows, …] */
  readonly shape: Shape;
  /** Rows that a share reads, one position each: some may be the same. */
  readonly read: number;
  /** Outputs of a share: int64 [read, 1], and what is added to the gradient there, [read, …]. */
  readonly positions: string;
  readonly added: string;
}

/** A stretch of a row. */
export interface Block {
  readonly row: number;
  readonly length: number;
}

/** Names of a block's inputs, and of the outputs that take their place. */
export type Places = ReadonlyMap<Part, { readonly now: string; readonly next: string }>;

/**
 * One step of training for several threads, each with examples of its own: every thread computes the gradients of its share
 * of the batch on its own, these are added up, and the update is made block by block. All of it but the share is element by
 * element, so a block's outputs may lie where its inputs do. The state is that of the TrainingStep with the same options.
 */
export interface DataParallelStep {
  readonly state: readonly Pick<StateTensor, 'input' | 'dims'>[];
  readonly inputs: Pick<DescribedStep['inputs'], 'learningRate' | 'corrections'>;
  readonly outputs: Pick<DescribedStep['outputs'], 'loss' | 'gradientNorm'>;
  readonly shares: number;
  /** Of batchSize / shares examples: their part of the batch's loss, and of its gradients. */
  readonly share: Model;
  readonly rows: readonly ParallelRow[];
  /** What `sums` and `update` are made of, for who computes them otherwise. */
  readonly optimizer: OptimizerSpec;
  /** Each element of a gradient is cut to this; 0: not. */
  readonly clipValue: number;
  /** Of an average, kept in each step; 0: there are none. */
  readonly ema: number;
  /** Gradients of a larger norm are scaled down to this one; 0: never. */
  readonly clipNorm: number;
  /** The update's input that multiplies gradients, a float scalar, where `clipNorm` is not 0. */
  readonly scale: string;
  /** Adds up gradients, and the squares of what they add up to; of a table's gradient, which is one, only its squares. */
  sums(blocks: readonly Block[]): {
    readonly model: Model;
    /** Per block; `gradients` of each share, or of a table. */
    readonly blocks: readonly {
      readonly gradients: readonly string[];
      readonly sum: string | undefined;
      readonly squares: string;
    }[];
  };
  /** The next weights, averages and slots. */
  update(blocks: readonly Block[]): {
    readonly model: Model;
    readonly blocks: readonly { readonly gradient: string; readonly places: Places }[];
  };
}

const scaleName = 'scale';

/** Multiplications of a share, forward and backward, from which handing it to a thread and waiting for it counts for little. */
const worthwhile = 2e7;
/** So many for each weight: gradients of shares are added up, and the update gains nothing. Adam's is made in one pass where it can. */
const perWeight = ({ kind }: OptimizerSpec) => (kind === 'adam' ? 100 : 200);

/**
 * Undefined where a step cannot be parted so that it stays the same, or is too small for it. The caller answers for it that no
 * example of `forward` depends on another but through batch normalization.
 */
export function dataParallelStep(forward: Model, options: StepOptions, shares: number): DataParallelStep | undefined {
  const { optimizer, batchSize, clipValue = 0, clipNorm = 0, ema = 0, accumulate = 1 } = options;
  const losses: readonly LossTerm[] = 'kind' in options.loss ? [options.loss] : options.loss;
  const isOther =
    optimizer.kind === 'muon' ||
    optimizer.kind === 'lion' || // reads its slot twice, of which one may come after it was written in place
    accumulate > 1 ||
    batchSize % shares !== 0 ||
    options.importance ||
    options.distillation !== undefined ||
    (options.pruned?.length ?? 0) > 0 ||
    !losses.every(isMeanOfExamples);
  if (isOther) return undefined;
  const values = stepValues(forward, { ...options, batchSize: batchSize / shares }, undefined, 1 / shares);
  const { name, rows, described } = values;
  const isMixed = described.state.some(({ kind }) => kind === 'running statistic');
  if (isMixed || rows.some(({ row }) => row.members.some(({ mask }) => mask !== undefined))) return undefined;

  const averages = new Map(described.state.flatMap(({ of, input }) => (of === undefined ? [] : [[of, input]])));
  const outputs = new Map<string, Value>([[described.outputs.loss, values.tell('update')[0]![1]]]);
  const told = (output: string, value: Value) => {
    outputs.set(output, value);
    return output;
  };
  const parallel = rows.map(({ row, slots }, at): ParallelRow => {
    const table = tableOf(row, clipValue);
    return {
      members: row.members.map(({ name, weight, g }, i) => ({
        weight: name,
        average: averages.get(name),
        gradient: table ? undefined : told(`gradient/${at}/${i}`, g),
        length: size(weight.shape),
      })),
      length: size(row.g.shape),
      slots: slots.map(nameOf),
      rateScale: row.rateScale,
      decay: row.decay,
      table: table && {
        shape: row.g.shape,
        read: table.at.shape[0]!,
        positions: told(`positions/${at}`, table.at),
        added: told(`added/${at}`, table.added),
      },
    };
  });
  const products = productsIn([...outputs.values()]);
  const trained = parallel.reduce((sum, { length }) => sum + length, 0);
  if (products < Math.max(worthwhile, perWeight(optimizer) * trained)) return undefined;
  const inputs = usedBy(outputs, values.inputs);
  if (inputs.some(({ dataType }) => dataType !== 'float' && dataType !== 'int64')) return undefined;
  const formOf = options.columns ? { formOf: fasterForms([...outputs.values()]) } : {};
  const written = (of: string, inputs: readonly Value[], outputs: ReadonlyMap<string, Value>) =>
    emit({ name: `${name}.${of}`, inputs, outputs });

  const partsOf = (row: ParallelRow): Part[] => [
    'weights',
    ...(ema > 0 ? ['averages' as const] : []),
    ...row.slots.keys(),
  ];
  const placesOf = (at: number, row: ParallelRow): Places =>
    new Map(partsOf(row).map((part) => [part, { now: `${part}/${at}`, next: `next/${part}/${at}` }]));

  return {
    state: described.state.map(({ input, dims }) => ({ input, dims })),
    inputs: described.inputs,
    outputs: described.outputs,
    shares,
    share: emit({ name: `${name}.share`, inputs, outputs, ...formOf }),
    rows: parallel,
    optimizer,
    clipValue,
    ema,
    clipNorm,
    scale: scaleName,
    sums(blocks) {
      const inputs: Value[] = [];
      const outputs = new Map<string, Value>();
      const named = blocks.map(({ row, length }, at) => {
        const { table } = parallel[row]!;
        const gradients = Array.from({ length: table ? 1 : shares }, (_, share) =>
          input(`gradient/${at}/${share}`, [length]),
        );
        inputs.push(...gradients);
        const added = gradients.reduce(add);
        const whole = clipValue > 0 ? make('Clip', [added, scalar(-clipValue), scalar(clipValue)], [length]) : added;
        const sum = table ? undefined : `sum/${at}`;
        const squares = `squares/${at}`;
        if (sum !== undefined) outputs.set(sum, whole);
        outputs.set(squares, sumSquare(whole));
        return { gradients: gradients.map(nameOf), sum, squares };
      });
      return { model: written('sums', inputs, outputs), blocks: named };
    },
    update(blocks) {
      const learningRate = input(described.inputs.learningRate, []);
      const { c1, c2 } = described.inputs.corrections ?? { c1: 'c1', c2: 'c2' };
      const corrections = { c1: input(c1, []), c2: input(c2, []) };
      const scale = input(scaleName, []);
      const inputs = [learningRate, corrections.c1, corrections.c2, scale];
      const outputs = new Map<string, Value>();
      const named = blocks.map(({ row: of, length }, at) => {
        const row = parallel[of]!;
        const { rateScale, decay } = rows[of]!.row;
        const places = placesOf(at, row);
        const now = (part: Part) => {
          const value = input(places.get(part)!.now, [length]);
          inputs.push(value);
          return value;
        };
        const to = (part: Part, value: Value) => outputs.set(places.get(part)!.next, value);
        const gradient = input(`gradient/${at}`, [length]);
        inputs.push(gradient);
        const d = clipNorm > 0 ? mul(gradient, scale) : gradient;
        const rates = { learningRate: times(learningRate, rateScale), corrections };
        let slot = 0;
        const { taken, slots } = updateWith({ spec: optimizer, d, rates, slot: () => now(slot++) });
        const weight = moved(now('weights'), taken, rates.learningRate, decay);
        to('weights', weight);
        if (ema > 0) to('averages', add(times(now('averages'), ema), times(weight, 1 - ema)));
        slots.forEach(({ next }, i) => to(i, next));
        return { gradient: nameOf(gradient), places };
      });
      return { model: written('update', usedBy(outputs, inputs), outputs), blocks: named };
    },
  };
}

/** The mean over a batch is the mean of the means over its shares. */
const isMeanOfExamples = (loss: LossTerm): boolean =>
  loss.kind !== 'cross_entropy' || (loss.classWeights === undefined && loss.ignoreIndex === undefined);

/** What is added up to a table's gradient, where it is kept as rows: not where each element is cut after that. */
function tableOf(
  { members, g }: UpdateRow,
  clipValue: number,
): { readonly at: Value; readonly added: Value } | undefined {
  const { at, added } = g.rows ?? {};
  return members.length === 1 && clipValue === 0 && at && added ? { at, added } : undefined;
}
