import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { MillError, backoffMs, connectMill } from '@modelmill/client';
import type { TrainerClient } from '@modelmill/client';
import { StoreUnavailableError } from '@modelmill/store';
import type { Replicas } from '@modelmill/store';

/** The trainer replicas that are alive, as one. */
export interface Trainers {
  /** Makes a call on one replica after the other, until one answers. Throws NoTrainerError, or the answer's MillError. */
  ask<T>(call: (trainer: TrainerClient) => Promise<T>): Promise<T>;
  /** As `ask`, again and again while none answers; ends with the signal's reason. */
  askUntilAnswered<T>(
    call: (trainer: TrainerClient) => Promise<T>,
    signal: AbortSignal,
    onWait: () => Promise<void>,
  ): Promise<T>;
}

/** No trainer replica answered. */
export class NoTrainerError extends Error {
  override readonly name = 'NoTrainerError';
}

/** What says nothing about the call itself: another replica, or another time, may do. */
const passing = new Set([status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED, status.RESOURCE_EXHAUSTED]);

/** Calls carry the trace context that is active when they are made. */
export function createTrainers(replicas: Pick<Replicas, 'list'>): Trainers {
  async function ask<T>(call: (trainer: TrainerClient) => Promise<T>): Promise<T> {
    let last: unknown;
    for (const { address } of await replicas.list('trainer')) {
      await using mill = connectMill({ address });
      try {
        return await call(mill.trainer);
      } catch (error) {
        if (!(error instanceof MillError && passing.has(error.code))) throw error;
        last = error;
      }
    }
    throw new NoTrainerError('no trainer answers', { cause: last });
  }

  return {
    ask,
    async askUntilAnswered(call, signal, onWait) {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        try {
          return await ask(call);
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof NoTrainerError || error instanceof StoreUnavailableError)) throw error;
        }
        await onWait();
        await sleep(backoffMs(attempt, Math.random()), undefined, { signal });
      }
    },
  };
}
