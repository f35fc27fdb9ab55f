import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jobs, registry } from '@modelmill/contracts';
import { openFileArtifacts } from '@modelmill/store';
import type { JobRecord } from '@modelmill/store';
import type { Candidate } from '../candidate.js';
import { openSearchLog } from './search-log.js';
import { narrowTo, quantizeStatic } from './search-space.js';

const signature = registry.Signature.fromPartial({ inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 64n] }] });
const made = { signature, artifact: { sha256: 'a'.repeat(64), size: 7 } } as Candidate;
const job: JobRecord = {
  id: 'searching',
  kind: 'optimize',
  spec: new Uint8Array(),
  status: jobs.JobStatus.fromPartial({}),
  childJobs: [],
  cancelRequested: false,
};

it('what a search has done is found again by who takes its job over, and nothing else is left of it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mill-log-'));
  try {
    const artifacts = await openFileArtifacts(folder);
    let progress: Uint8Array | undefined;
    const open = (now: number) =>
      openSearchLog(
        artifacts,
        {
          job: { ...job, ...(progress ? { progress } : {}) },
          update: async (change) => void (progress = change.progress),
        },
        { version: '3' },
        now,
      );

    const first = await open(1000);
    expect(await first.begin('int8')).toBe(1);
    const int8 = { name: 'int8', passes: [quantizeStatic('minmax', ['head'])], result: made };
    await first.add(int8);
    await first.keepLayers({ sensitive: ['head', 'body'], slower: [] });
    expect(await first.begin('half')).toBe(1);

    const second = await open(9000);
    expect(second.begunAt).toBe(1000);
    expect(second.attempts).toEqual([int8]);
    expect(second.layers).toEqual({ sensitive: ['head', 'body'], slower: [] });
    expect(await second.begin('half')).toBe(2);
    const half = { ...narrowTo(0.5), result: { failure: 'nothing to prune' } };
    await second.add(half);

    const third = await open(20_000);
    expect(third.attempts).toEqual([int8, half]);
    expect(await third.begin('other')).toBe(1);
    expect(JSON.parse(Buffer.from(progress!).toString())).toMatchObject({ version: '3' });
    const files = await readdir(join(folder, 'sha256'), { recursive: true, withFileTypes: true });
    expect(files.filter((one) => one.isFile())).toHaveLength(1);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
