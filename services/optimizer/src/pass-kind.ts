import type { optimizer, trainer } from '@modelmill/contracts';
import { expandFunctions } from '@modelmill/onnx';
import type { Model } from '@modelmill/onnx';
import { expectFiniteWeights } from './finite-weights.js';
import type { PassContext, PassResult, PlanSubject } from './pass-context.js';

type Asked = NonNullable<optimizer.Pass['kind']>;
/** The cases of a spec's pass. */
export type PassCase = Asked['$case'];
/** What a spec says of a pass, by its case. */
export type AskedPass = { readonly [C in PassCase]: Extract<Asked, { $case: C }> };

/** What a kind of pass is: how its message is checked, and how it is made. One module per kind. */
export interface PassDefinition<C extends PassCase, Settings> {
  /** Its name in specs. */
  readonly kind: string;
  /** It writes weights in another form, which no other pass reads: it comes last. */
  readonly isLast?: boolean;
  /** It begins a new network: what passes before it made would be lost. */
  readonly startsAnew?: boolean;
  /** Its settings with their defaults filled in; throws an RpcError that names the field. `at` is the field of the message. */
  plan(asked: AskedPass[C], at: string): Settings;
  /** The parent is left as it is; its functions are written out. Throws JobFailedError where nothing would change. */
  make(parent: Model, settings: Settings, context: PassContext): Promise<PassResult>;
  /** A training that the trainer can look at before the job is queued; `field` is what its refusal is about. */
  training?(settings: Settings, plan: PlanSubject): { readonly field: string; readonly spec: trainer.TrainingSpec };
}

/** A pass with its defaults filled in. */
export interface PlannedPass {
  readonly kind: string;
  readonly settings: object;
  readonly isLast: boolean;
  readonly startsAnew: boolean;
  /** Throws OnnxFormatError where a weight is NaN or infinite. */
  make(parent: Model, context: PassContext): Promise<PassResult>;
  training(plan: PlanSubject): { readonly field: string; readonly spec: trainer.TrainingSpec } | undefined;
}

/** A row of the table of passes. */
export interface PassKind<C extends PassCase> {
  plan(asked: AskedPass[C], at: string): PlannedPass;
}

/** Keeps a kind's settings together with what is done with them. */
export function definePass<C extends PassCase, Settings extends object>(
  definition: PassDefinition<C, Settings>,
): PassKind<C> {
  const { kind, isLast = false, startsAnew = false } = definition;
  return {
    plan(asked, at) {
      const settings = definition.plan(asked, `${at}.${kind}`);
      return {
        kind,
        settings,
        isLast,
        startsAnew,
        async make(parent, context) {
          const model = expandFunctions(parent);
          expectFiniteWeights(model);
          return definition.make(model, settings, context);
        },
        training: (plan) => definition.training?.(settings, plan),
      };
    },
  };
}
