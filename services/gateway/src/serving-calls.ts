import { status } from '@grpc/grpc-js';
import { serving } from '@modelmill/contracts';
import { RpcError } from '@modelmill/service-kit';
import type { Store } from '@modelmill/store';
import * as errors from './errors.js';
import { callUnary } from './forward.js';
import type { ReplicaSet } from './replica-set.js';
import { merged } from './shadow-comparison.js';

const { getShadowComparison } = serving.ServingService;
const patienceMs = 5_000;

/** Serving, by asking every replica of inference. */
export function servingCalls(models: Pick<Store['registry'], 'model'>, replicas: Pick<ReplicaSet, 'all'>) {
  async function shadowComparison(
    { model, label: name }: serving.GetShadowComparisonRequest,
    signal: AbortSignal,
  ): Promise<serving.GetShadowComparisonResponse> {
    const label = (await models.model(model)).labels.find((known) => known.name === name);
    if (label === undefined) throw errors.noLabel(model, name);
    const { shadow } = label;
    if (shadow === undefined) throw errors.noShadow(model, name);
    const request = getShadowComparison.requestSerialize({ model, label: name });
    const told = await Promise.all(
      replicas.all().map(async (target) => {
        try {
          const caller = { signal, deadline: Date.now() + patienceMs };
          const answer = await callUnary(target, getShadowComparison.path, request, caller);
          return getShadowComparison.responseDeserialize(answer).comparison;
        } catch (error) {
          // it has not heard of the shadow yet or of shadows at all, is gone, or takes too long
          if (!signal.aborted && error instanceof RpcError && absent.has(error.code)) return undefined;
          throw error;
        }
      }),
    );
    const current = told.filter((of) => of?.setAt?.getTime() === shadow.setAt?.getTime());
    return {
      comparison: merged(
        { model, label: name, ...shadow },
        current.filter((of) => of !== undefined),
      ),
    };
  }

  return { getShadowComparison: shadowComparison };
}

export type ServingCalls = ReturnType<typeof servingCalls>;

const absent = new Set([status.NOT_FOUND, status.UNAVAILABLE, status.UNIMPLEMENTED, status.DEADLINE_EXCEEDED]);
