import type { Model } from '@modelmill/onnx';
import type { DescribedStep, StateTensor } from './described-step.js';
import { emit } from './emit.js';
import { fasterForms } from './faster-forms.js';
import type { StepOptions } from './step-options.js';
import { nameOf, stepValues, usedBy } from './step-values.js';
import type { Named, StepValues } from './step-values.js';
import { input } from './value.js';
import type { Value } from './value.js';

/** One step of training as one graph: forward, loss, backward, clipping, update. Static shapes, ops of set 18 and, for the CPU, ONNX Runtime's. */
export interface TrainingStep extends DescribedStep {
  readonly model: Model;
  /**
   * Accumulation only: the same for a batch that completes no update. It takes fewer inputs, and of the state it gives the
   * gathered gradients and running statistics; the rest stays as it is.
   */
  readonly gather?: { readonly model: Model; readonly state: readonly StateTensor[] };
}

/** One step as two graphs, for an engine that differentiates by itself: up to the loss, and from gradients on. */
export interface DividedStep extends DescribedStep {
  /** Of features, targets, masks, weights and running statistics: loss, logits, and the statistics after the batch. */
  readonly loss: Model;
  /** Of gradients and the rest: the norm, and the state after the update. */
  readonly update: Model;
  /** Accumulation only: what a batch that completes no update does in place of `update`. */
  readonly gather?: Model;
  /** The weights that are trained, by the names their gradients are fed under. */
  readonly gradients: ReadonlyMap<string, string>;
}

/**
 * Writes forward pass, loss, gradients, clipping and update into one graph. `forward` is the training form: one float
 * input, one output, trained weights as float initializers of at least one axis. Throws ShapeError, TrainingFormError,
 * and UnsupportedOpError for an operator without a gradient rule.
 */
export function trainingStep(forward: Model, options: StepOptions): TrainingStep {
  const { name, inputs, tell, update, gather, described } = stepValues(forward, options);
  const written = (of: string, from: readonly Value[], roots: ReadonlyMap<string, Value>) =>
    emit({
      name: `${name}.${of}`,
      inputs: from,
      outputs: roots,
      ...(options.columns ? { formOf: fasterForms([...roots.values()]) } : {}),
    });
  return {
    model: written('training', inputs, new Map([...tell('update'), ...update])),
    ...(gather ? { gather: gatherForm(gather) } : {}),
    ...described,
  };

  /** Keeps the gradients of a batch, and statistics, and nothing else. */
  function gatherForm({ state, next }: NonNullable<StepValues['gather']>): NonNullable<TrainingStep['gather']> {
    const roots = new Map([...tell('gather'), ...next]);
    return { model: written('gathering', usedBy(roots, inputs), roots), state };
  }
}

/** As trainingStep, but for the gradients, which are fed. */
export function dividedStep(forward: Model, options: StepOptions): DividedStep {
  const fed = new Map<string, Value>();
  const values = stepValues(forward, options, (found, weight, fresh) => {
    const gradient = input(fresh(`gradient/${weight}`), found.shape);
    fed.set(weight, gradient);
    return gradient;
  });
  const { name, inputs, tell, update, gather, described } = values;
  const isStatistic = new Set(described.state.flatMap((of) => (of.kind === 'running statistic' ? [of.output] : [])));
  const [loss, logits] = tell('update') as [Named, Named];
  const part = (of: string, roots: readonly Named[]) => {
    const outputs = new Map(roots);
    return emit({ name: `${name}.${of}`, inputs: usedBy(outputs, [...inputs, ...fed.values()]), outputs });
  };
  const rest = (named: readonly Named[]) => named.filter(([output]) => !isStatistic.has(output));
  return {
    loss: part('loss', [loss, logits, ...update.filter(([output]) => isStatistic.has(output))]),
    update: part('update', [tell('update')[2]!, ...rest(update)]),
    ...(gather ? { gather: part('gather', [tell('gather')[2]!, ...rest(gather.next)]) } : {}),
    gradients: new Map([...fed].map(([weight, value]) => [weight, nameOf(value)])),
    ...described,
  };
}
