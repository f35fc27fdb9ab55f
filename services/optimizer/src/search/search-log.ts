import { optimizer, registry } from '@modelmill/contracts';
import type { Artifacts, JobClaim } from '@modelmill/store';
import type { Candidate } from '../candidate.js';
import type { SearchCandidate } from './search-space.js';

/** A candidate that was tried. */
export interface Attempt extends SearchCandidate {
  /** What was made of it, or why nothing was. */
  readonly result: Candidate | { readonly failure: string };
}

/** Layers as an analysis found them. */
export interface LayerOrder {
  /** Those that mind eight bits most come first. */
  readonly sensitive: readonly string[];
  /** Those that are slower in eight bits than in floats. */
  readonly slower: readonly string[];
}

/** What a search has done, kept with its job: whoever takes the job over goes on from there. */
export interface SearchLog {
  /** When it began, in ms since 1970, whoever began it. */
  readonly begunAt: number;
  readonly attempts: readonly Attempt[];
  readonly layers: LayerOrder | undefined;
  /** Notes that a candidate is begun; how often it was. */
  begin(name: string): Promise<number>;
  add(attempt: Attempt): Promise<void>;
  keepLayers(layers: LayerOrder): Promise<void>;
}

interface Stored {
  readonly begunAt: number;
  readonly begun?: { readonly name: string; readonly times: number };
  readonly layers?: LayerOrder;
  readonly attempts: readonly StoredAttempt[];
}

interface StoredAttempt {
  readonly name: string;
  readonly passes: readonly unknown[];
  readonly failure?: string;
  readonly made?: Omit<Candidate, 'signature'> & { readonly signature: unknown };
}

interface Progress {
  /** Digest of what is stored. */
  readonly search?: string;
}

/** `progress` is what else the job keeps. */
export async function openSearchLog(
  artifacts: Pick<Artifacts, 'put' | 'read' | 'remove'>,
  claim: Pick<JobClaim, 'job' | 'update'>,
  progress: object,
  now: number,
): Promise<SearchLog> {
  const kept = claim.job.progress && (JSON.parse(Buffer.from(claim.job.progress).toString()) as Progress);
  let digest = kept?.search;
  let stored: Stored = digest ? await read(artifacts, digest) : { begunAt: now, attempts: [] };
  let attempts = stored.attempts.map(attemptOf);

  async function write(change: Partial<Stored>): Promise<void> {
    stored = { ...stored, ...change };
    const before = digest;
    digest = (await artifacts.put(Buffer.from(JSON.stringify(stored)))).sha256;
    await claim.update({ progress: Buffer.from(JSON.stringify({ ...progress, search: digest })) });
    if (before !== undefined && before !== digest) await artifacts.remove(before);
  }

  return {
    get begunAt() {
      return stored.begunAt;
    },
    get attempts() {
      return attempts;
    },
    get layers() {
      return stored.layers;
    },
    async begin(name) {
      const times = stored.begun?.name === name ? stored.begun.times + 1 : 1;
      await write({ begun: { name, times } });
      return times;
    },
    async add(attempt) {
      attempts = [...attempts, attempt];
      await write({ attempts: [...stored.attempts, storedAttempt(attempt)] });
    },
    keepLayers: (layers) => write({ layers }),
  };
}

const read = async (artifacts: Pick<Artifacts, 'read'>, digest: string) =>
  JSON.parse(Buffer.from(await artifacts.read(digest)).toString()) as Stored;

function storedAttempt({ name, passes, result }: Attempt): StoredAttempt {
  const about = { name, passes: passes.map((pass) => optimizer.Pass.toJSON(pass)) };
  if ('failure' in result) return { ...about, failure: result.failure };
  return { ...about, made: { ...result, signature: registry.Signature.toJSON(result.signature) } };
}

function attemptOf({ name, passes, failure = '', made }: StoredAttempt): Attempt {
  return {
    name,
    passes: passes.map((pass) => optimizer.Pass.fromJSON(pass)),
    result: made ? { ...made, signature: registry.Signature.fromJSON(made.signature) } : { failure },
  };
}
