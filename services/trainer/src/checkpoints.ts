import { readFile } from 'node:fs/promises';
import { DigestMismatchError, NotFoundError } from '@modelmill/store';
import type { Artifacts, JobClaim } from '@modelmill/store';
import { CheckpointError, readCheckpoint } from './checkpoint.js';
import type { TrainingInputs } from './training-messages.js';

/** The checkpoints of one job: only the newest one is kept. */
export interface Checkpoints {
  /** Where to go on from; undefined at a first try, and where the checkpoint is gone or damaged. */
  last(): Promise<{ readonly path: string; readonly inputs: TrainingInputs } | undefined>;
  /** Stores a file as the job's checkpoint in place of the one before. */
  keep(path: string): Promise<void>;
  /** Removes the newest, once nobody will go on from it. */
  drop(): Promise<void>;
}

export function createCheckpoints(
  artifacts: Pick<Artifacts, 'path' | 'put' | 'remove'>,
  claim: Pick<JobClaim, 'job' | 'update'>,
): Checkpoints {
  let newest = claim.job.checkpoint;

  async function drop(): Promise<void> {
    if (newest !== undefined) await artifacts.remove(newest);
  }

  return {
    drop,
    async last() {
      if (newest === undefined) return undefined;
      try {
        const path = await artifacts.path(newest);
        return { path, inputs: readCheckpoint(await readFile(path)).inputs };
      } catch (error) {
        // to begin again costs time, to give up the job
        if ([NotFoundError, DigestMismatchError, CheckpointError].some((kind) => error instanceof kind))
          return undefined;
        throw error;
      }
    },
    async keep(path) {
      const { sha256 } = await artifacts.put(await readFile(path));
      await claim.update({ checkpoint: sha256 }); // throws where the job is another's, who may need the one before
      if (sha256 !== newest) await drop();
      newest = sha256;
    },
  };
}
