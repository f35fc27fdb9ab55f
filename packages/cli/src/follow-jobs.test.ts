import { trainer } from '@modelmill/client';
import type { jobs } from '@modelmill/client';
import { followJobs, successOf } from './follow-jobs.js';
import { endLine } from './run-specs.js';
import { createScreen } from './terminal/screen.js';

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds));
const succeeded: jobs.JobStatus['state'] = {
  $case: 'succeeded',
  succeeded: { version: '4', artifactSha256: '', metrics: { accuracy: 0.98611 }, historySha256: '', notes: [] },
};
const failed = { $case: 'failed', failed: { reason: 'layer 3 does not fit' } } as const;

async function* updates(...states: jobs.JobStatus['state'][]) {
  for (const [index, state] of states.entries()) {
    const status = { jobId: 'j', createdAt: at(0), updatedAt: at(index * 2) };
    const job = trainer.TrainingJob.fromPartial({ spec: { model: 'digits' }, status });
    yield { ...job, status: { ...job.status!, state } };
  }
}

function follow(...followed: { title: string; updates: AsyncIterable<trainer.TrainingJob> }[]) {
  let text = '';
  const screen = createScreen({ isTTY: true, columns: 100, write: (more) => void (text += more) }, { colours: false });
  const ended = followJobs(screen, followed, (one) => screen.print(endLine(one)));
  return { ended, text: () => text };
}

const running = { $case: 'running', running: { replica: 'r', attempt: 1, stage: 'training', done: 0.5 } } as const;

describe('followed jobs', () => {
  it('are told as they end, and how', async () => {
    const { ended, text } = follow(
      { title: 'train', updates: updates({ $case: 'queued', queued: {} }, running, succeeded) },
      { title: 'other', updates: updates(running, failed) },
    );
    const [first, second] = await ended;
    expect(successOf(first!).version).toBe('4');
    expect(() => successOf(second!)).toThrow('other failed: layer 3 does not fit');
    expect(text()).toContain('train: digits version 4, accuracy 0.9861 in 4.0 s\n');
    expect(text()).toContain('other: failed: layer 3 does not fit\n');
  });

  it('show the losses of a training that is alone as a curve', async () => {
    async function* learning() {
      for (const [step, loss] of [2, 1, 0.5, 0.25].entries()) {
        const progress = { step: BigInt(step + 1), steps: 4n, loss, metrics: { loss: loss + 0.1 } };
        yield trainer.TrainingJob.fromPartial({ status: { state: running }, progress });
      }
      yield* updates(succeeded);
    }
    const { ended } = follow({ title: 'train', updates: learning() });
    const [one] = await ended;
    expect(one!.curve.at(-1)).toContain('step 1 to 4');
    expect(one!.curve.join('')).toMatch(/[\u2801-\u28ff]/);
    const [first, second] = await follow({ title: 'a', updates: learning() }, { title: 'b', updates: learning() })
      .ended;
    expect([first!.curve, second!.curve]).toEqual([[], []]);
  });

  it('that were let go before their end are no result', async () =>
    expect(follow({ title: 'train', updates: updates(running) }).ended).rejects.toThrow('interrupted'));
});
