import { floatsOf, freshNames } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { gatheredOf } from './accumulation.js';
import type { DescribedStep, StateTensor } from './described-step.js';
import { TrainingFormError } from './errors.js';
import { featureTerms } from './feature-losses.js';
import { gradients } from './gradients.js';
import { hiddenMatrices } from './hidden-matrices.js';
import { distillationLoss, lossOf, mixed } from './losses.js';
import { abs, add, div, make, minimum, mul, sign, sqrt, times, zeros } from './ops.js';
import { groupFault, isFrozen } from './parameter-groups.js';
import { readGraph } from './read-graph.js';
import type { StepOptions } from './step-options.js';
import { scaled, sumOfSquares } from './table-rows.js';
import { topological } from './topological.js';
import { updateRows } from './update-rows.js';
import type { UpdateRow } from './update-rows.js';
import { moved, updateBy, updateByAdam } from './updates.js';
import type { Update } from './updates.js';
import { constant, input, scalar, size } from './value.js';
import type { Value } from './value.js';

/** A value with the name of the output it goes to. */
export type Named = readonly [output: string, value: Value];

/** What a step computes. */
export interface StepValues {
  readonly name: string;
  readonly inputs: readonly Value[];
  /** Loss, logits, and the gradients' norm. */
  tell(form: 'update' | 'gather'): readonly Named[];
  /** The state after the step. */
  readonly update: readonly Named[];
  readonly gather: { readonly state: readonly StateTensor[]; readonly next: readonly Named[] } | undefined;
  /** What is updated at once, and the slots that the optimizer keeps of it. */
  readonly rows: readonly { readonly row: UpdateRow; readonly slots: readonly Value[] }[];
  readonly described: DescribedStep;
}

/**
 * `gradientOf`: what stands for the gradient that was found of a weight. `lossFactor`: on the loss, and so on all that is
 * computed from it.
 */
export function stepValues(
  forward: Model,
  options: StepOptions,
  gradientOf: (found: Value, weight: string, fresh: (name: string) => string) => Value = (found) => found,
  lossFactor = 1,
): StepValues {
  const graph = readGraph(forward, options.batchSize, options.exampleShape);
  const { features, output, weights, statistics, dropout } = graph;
  const fault = groupFault([...weights.keys()], options.groups);
  if (fault !== undefined) throw new TrainingFormError(fault);
  // a graph may call its weights as it likes
  const fresh = freshNames([
    nameOf(features),
    ...weights.keys(),
    ...statistics.keys(),
    ...dropout.map(({ name }) => name),
  ]);
  const hard = lossOf(options.loss, output, fresh('targets'));
  const teacher = options.distillation && input(fresh('teacher'), output.shape);
  const kinds = 'kind' in options.loss ? [options.loss.kind] : options.loss.map(({ kind }) => kind);
  if (teacher && kinds.some((kind) => kind !== 'cross_entropy')) {
    throw new TrainingFormError(`distillation takes the cross-entropy loss, got ${kinds.join(' and ')}`);
  }
  const { temperature, mix } = options.distillation ?? { temperature: 1, mix: 0 };
  const taught = featureTerms(options.distillation?.features ?? [], graph.values, fresh);
  const { projections } = taught;
  const answers = teacher ? mixed(distillationLoss(output, teacher, temperature), hard.value, mix) : hard.value;
  const loss = times(taught.losses.reduce(add, answers), lossFactor);

  const trained = [
    ...[...weights].filter(([name]) => !isFrozen(name, options.groups)),
    ...projections.map(({ name, value }) => [name, value] as const),
  ];
  const found = gradients(
    loss,
    trained.map(([, weight]) => weight),
    options,
  );
  if (found.size === 0) throw new TrainingFormError('no weight lies between the input and the loss');
  const moving = trained.flatMap(([name, weight]) => {
    const arrived = found.get(weight);
    const g = arrived && gradientOf(arrived, name, fresh);
    const isPruned = options.pruned?.includes(name) ?? false;
    const known = options.keepZeros && weights.has(name) ? maskOf(forward, name, weight) : undefined;
    const mask = isPruned ? abs(sign(weight)) : known;
    return g ? [{ name, weight, g: mask ? mul(g, mask) : g, mask, isPruned }] : [];
  });
  const rows = updateRows(moving, options, hiddenMatrices(output));
  const gathered = gatheredOf(rows, options.accumulate ?? 1, fresh);
  const whole = rows.map(({ g }, at) => clipped(gathered[at]?.sum ?? g, options.clipValue));
  const norm = normOf(whole);
  const scale = options.clipNorm ? minimum(scalar(1), div(scalar(options.clipNorm), norm)) : undefined;

  const learningRate = input(fresh('learning_rate'), []);
  const corrections = { c1: input(fresh('correction.c1'), []), c2: input(fresh('correction.c2'), []) };
  const { optimizer } = options;
  const nextOf = new Map<Value, Value>();
  const slots: Update['slots'][number][] = [];
  const slotsOf = new Map<UpdateRow, readonly Value[]>();
  for (const [at, row] of options.importance ? [] : rows.entries()) {
    const d = scale ? scaled(whole[at]!, scale) : whole[at]!;
    const rates = { learningRate: times(learningRate, row.rateScale), corrections };
    const of = row.members.length === 1 ? row.members[0]!.name : '';
    const update =
      optimizer.kind === 'muon' && row.layout === undefined
        ? updateByAdam(optimizer.adam, d, rates, fresh, of)
        : updateBy(optimizer, d, rates, fresh, of, row.layout);
    slots.push(...update.slots);
    slotsOf.set(
      row,
      update.slots.map(({ now }) => now),
    );
    row.parts(update.taken).forEach((taken, i) => {
      const { weight, mask, isPruned } = row.members[i]!;
      // an orthogonal update mixes the elements of its gradient, zeros among them; moments remember what was no zero yet
      const kept = mask && (row.layout || isPruned) ? mul(taken, mask) : taken;
      nextOf.set(weight, moved(weight, kept, rates.learningRate, row.decay));
    });
  }
  slots.push(...gathered.map(({ before }) => ({ now: before, next: zeros(before.shape) })));
  const state: { kind: StateTensor['kind']; of?: string; value: Value; next: Value; initial: Float32Array }[] = [
    ...[...weights].map(([name, weight]) => ({
      kind: 'weight' as const,
      value: weight,
      next: nextOf.get(weight) ?? weight,
      initial: floatsOf(forward.graph.initializers.get(name)!),
    })),
    ...projections.map(({ value, initial }) => ({
      kind: 'projection' as const,
      value,
      next: nextOf.get(value) ?? value,
      initial,
    })),
    ...slots.map(({ now, next }) => ({
      kind: 'optimizer slot' as const,
      value: now,
      next,
      initial: new Float32Array(size(now.shape)),
    })),
  ];
  const { ema = 0 } = options;
  for (const { name, weight } of ema > 0 ? moving.filter(({ name }) => weights.has(name)) : []) {
    const now = input(fresh(`average/${name}`), weight.shape);
    state.push({
      kind: 'weight average',
      of: name,
      value: now,
      next: add(times(now, ema), times(nextOf.get(weight)!, 1 - ema)),
      initial: floatsOf(forward.graph.initializers.get(name)!),
    });
  }
  const gradientOfWeight = new Map(moving.map(({ name, g }) => [name, g]));
  for (const [name, weight] of options.importance ? weights : []) {
    const now = input(fresh(`importance/${name}`), weight.shape);
    const g = gradientOfWeight.get(name);
    const initial = new Float32Array(size(weight.shape));
    state.push({
      kind: 'weight average',
      of: name,
      value: now,
      next: g ? add(now, abs(mul(weight, g))) : now,
      initial,
    });
  }
  for (const [name, { now, next }] of statistics) {
    state.push({
      kind: 'running statistic',
      value: now,
      next,
      initial: floatsOf(forward.graph.initializers.get(name)!),
    });
  }

  const adam = optimizer.kind === 'adam' || optimizer.kind === 'muon';
  const tensors = state.map(({ kind, of, value, initial }): StateTensor => ({
    kind,
    ...(of === undefined ? {} : { of }),
    input: nameOf(value),
    output: fresh(`next/${nameOf(value)}`),
    dims: value.shape,
    initial,
  }));
  const outputs = { loss: fresh('loss'), logits: fresh('logits'), gradientNorm: fresh('gradient_norm') };
  const inputs = [
    features,
    hard.targets,
    learningRate,
    ...(adam ? [corrections.c1, corrections.c2] : []),
    ...(teacher ? [teacher] : []),
    ...taught.teachers,
    ...dropout.map(({ name, shape }) => input(name, shape)),
    ...state.map(({ value }) => value),
  ];
  const told = (gradientNorm: Value): readonly Named[] => [
    [outputs.loss, loss],
    [outputs.logits, output],
    [outputs.gradientNorm, gradientNorm],
  ];
  const sums = new Map(gathered.map(({ before, sum }) => [before, sum]));
  const kept = state.flatMap(({ kind, value, next }, i) => {
    const after = kind === 'running statistic' ? next : sums.get(value);
    return after ? [{ tensor: tensors[i]!, after }] : [];
  });
  return {
    name: forward.graph.name,
    inputs,
    tell: (form) => told(form === 'update' ? norm : normOf(rows.map(({ g }) => g))),
    update: state.map(({ next }, i) => [tensors[i]!.output, next]),
    rows: rows.map((row) => ({ row, slots: slotsOf.get(row) ?? [] })),
    gather:
      gathered.length > 0
        ? {
            state: kept.map(({ tensor }) => tensor),
            next: kept.map(({ tensor, after }) => [tensor.output, after]),
          }
        : undefined,
    described: {
      state: tensors,
      inputs: {
        features: nameOf(features),
        targets: nameOf(hard.targets),
        learningRate: nameOf(learningRate),
        ...(adam ? { corrections: { c1: nameOf(corrections.c1), c2: nameOf(corrections.c2) } } : {}),
        ...(teacher ? { teacher: nameOf(teacher) } : {}),
        teacherFeatures: taught.teachers.map((value) => ({ name: nameOf(value), shape: value.shape })),
        dropout,
      },
      outputs,
    },
  };
}

/** Those of the inputs that the roots are computed from. */
export function usedBy(roots: ReadonlyMap<string, Value>, inputs: readonly Value[]): readonly Value[] {
  const used = new Set(topological([...roots.values()]).map(nameOf));
  return inputs.filter((value) => used.has(nameOf(value)));
}

const normOf = (gs: readonly Value[]): Value => sqrt(gs.map(sumOfSquares).reduce(add));

const clipped = (g: Value, bound = 0): Value =>
  bound === 0 ? g : make('Clip', [g, scalar(-bound), scalar(bound)], g.shape, g.dataType);

export const nameOf = ({ source }: Value): string => (source.kind === 'input' ? source.name : '');

/** 1 where a weight may change; undefined where all may. */
function maskOf({ graph }: Model, name: string, { shape }: Value): Value | undefined {
  const values = floatsOf(graph.initializers.get(name)!);
  if (shape.length < 2 || values.every((value) => value !== 0)) return undefined;
  return constant(
    values.map((value) => Number(value !== 0)),
    shape,
  );
}
