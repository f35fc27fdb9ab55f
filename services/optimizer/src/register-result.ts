import type { registry } from '@modelmill/contracts';
import { NotFoundError } from '@modelmill/store';
import type { JobClaim, JobResult, ModelRef, Store } from '@modelmill/store';
import { reportArtifact } from './report.js';
import type { Figures, Report } from './report.js';
import { speedMetrics } from './speed.js';

/** What an optimization has made. */
export interface Made {
  readonly signature: registry.Signature;
  readonly artifact: ModelRef;
  readonly parent: registry.Version;
  readonly figures: { readonly parent: Figures; readonly candidate: Figures };
  readonly report: Report;
  /** One version is registered under it, however often it is tried. */
  readonly registration: string;
}

/** Registers a version of a job, with lineage, metrics and report. */
export async function registerResult(
  { registry: known, artifacts }: Pick<Store, 'registry' | 'artifacts'>,
  claim: Pick<JobClaim, 'job' | 'assertOwned'>,
  { signature, artifact, parent, figures, report, registration }: Made,
): Promise<JobResult> {
  const { sha256: reportSha256 } = await artifacts.put(reportArtifact(report));
  await claim.assertOwned();
  const { version, artifactSha256, metrics } = await known.registerVersion({
    model: report.model,
    artifact,
    signature,
    lineage: {
      method: report.passes.join(', then '),
      parentVersion: parent.version,
      jobId: claim.job.id,
      dataset: report.dataset.name,
      datasetVersion: report.dataset.version,
    },
    metrics: { ...figures.candidate, ...speedMetrics(report.speed) },
    reportSha256,
    jobId: registration,
  });
  await addMetrics(known, parent, figures.parent);
  return { version, artifactSha256, metrics };
}

/** The latencies a parent was measured with, and what it had no figure of: what was measured at its making stays. */
async function addMetrics(known: Store['registry'], parent: registry.Version, figures: Figures): Promise<void> {
  const { p50_ms, p99_ms, throughput } = figures;
  const metrics = { ...figures, ...parent.metrics, p50_ms, p99_ms, throughput };
  await known.updateMetrics(parent.model, parent.version, metrics).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error; // deleted while its child was made
  });
}
