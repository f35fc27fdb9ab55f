import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { registry as contract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import { RunnerError, probation } from '@modelmill/runtime';
import type { ProbationLimits } from '@modelmill/runtime';
import type { Store } from '@modelmill/store';
import type { Suspect, Verdict } from './admission-worker.js';

export interface AdmissionOptions {
  readonly store: Pick<Store, 'registry' | 'artifacts'>;
  readonly limits: ProbationLimits;
  /** An error that is not the version's: it stays registered and is tried again. */
  onTrouble(version: registry.Version, error: unknown): void;
}

/** Decides on registered versions, one after the other: structure first, then a run in a throw-away process. */
export interface Admission extends AsyncDisposable {
  consider(models: readonly registry.Model[]): void;
}

const checkMs = 20_000;
const workerEntry = fileURLToPath(new URL('../dist/admission-worker.js', import.meta.url));

export function createAdmission({ store, limits, onTrouble }: AdmissionOptions): Admission {
  const taken = new Set<string>();
  let closed = false;
  let line = Promise.resolve();

  async function decide(version: registry.Version): Promise<void> {
    if (closed) return;
    try {
      const path = await store.artifacts.modelPath(version.artifactSha256, version.externalData?.sha256);
      const reason =
        (await structuralProblem({ path, data: version.externalData?.sha256 })) ??
        (await probationProblem(path, limits));
      const decision = reason === undefined ? ({ kind: 'admitted' } as const) : ({ kind: 'rejected', reason } as const);
      await store.registry.settleAdmission(version.model, version.version, decision);
    } catch (error) {
      onTrouble(version, error);
    }
  }

  return {
    consider(models) {
      for (const version of models.flatMap(({ versions }) => versions)) {
        const key = `${version.model}/${version.version}`;
        if (version.state !== contract.VersionState.VERSION_STATE_REGISTERED || taken.has(key)) continue;
        taken.add(key);
        line = line.then(() => decide(version)).finally(() => taken.delete(key));
      }
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      await line;
    },
  };
}

/** In a thread of its own: a model at the limits keeps a parser busy for seconds. */
function structuralProblem(suspect: Suspect): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(workerEntry, { workerData: suspect, resourceLimits: { maxOldGenerationSizeMb: 2048 } });
    const late = setTimeout(() => {
      resolve(`the structural checks took longer than ${checkMs} ms`);
      void worker.terminate();
    }, checkMs);
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => clearTimeout(late));
  });
}

async function probationProblem(path: string, limits: ProbationLimits): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      await probation(path, limits);
      return undefined;
    } catch (error) {
      if (!(error instanceof RunnerError)) throw error;
      if (error.kind === 'crashed' && attempt === 1) continue; // someone else may have ended the process
      return `the probation run failed: ${error.message}`;
    }
  }
}
