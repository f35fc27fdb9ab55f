import { connect } from '@nats-io/transport-node';
import type { jobs } from '@modelmill/contracts';

/** The last state of a watched job; fails with the reason where the job failed. */
export async function succeeded<Job extends { status?: jobs.JobStatus | undefined }>(
  watched: AsyncIterable<Job>,
  onEach: (job: Job) => Promise<void> | void = () => {},
): Promise<jobs.JobSucceeded> {
  let state: jobs.JobStatus['state'];
  for await (const job of watched) {
    await onEach(job);
    state = job.status?.state;
  }
  if (state?.$case === 'succeeded') return state.succeeded;
  throw new Error(`the job ended as ${JSON.stringify(state)}`);
}

/** Everything below `mill.event.` on a plain NATS subscription, from now on. */
export async function listen(natsUrl: string) {
  const nats = await connect({ servers: natsUrl, maxReconnectAttempts: -1 });
  const seen: { subject: string; data: unknown }[] = [];
  const waiting = new Set<() => void>();
  const subscription = nats.subscribe('mill.event.>', {
    callback: (_error, message) => {
      seen.push({ subject: message.subject, data: message.json() });
      for (const wake of waiting) wake();
    },
  });
  await nats.flush();
  return {
    seen,
    /** Resolves with the first event, past or coming, whose subject matches. */
    async heard(subject: RegExp): Promise<{ subject: string; data: unknown }> {
      for (;;) {
        const found = seen.find((event) => subject.test(event.subject));
        if (found) return found;
        await new Promise<void>((wake) => {
          const once = () => {
            waiting.delete(once);
            wake();
          };
          waiting.add(once);
        });
      }
    },
    async [Symbol.asyncDispose]() {
      subscription.unsubscribe();
      await nats.close();
    },
  };
}
