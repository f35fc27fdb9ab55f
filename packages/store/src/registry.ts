import type { registry } from '@modelmill/contracts';

/** A version to register. */
export interface NewVersion {
  readonly model: string;
  readonly artifact: { readonly sha256: string; readonly size: number };
  readonly signature: registry.Signature;
  readonly lineage: registry.Lineage;
  readonly metrics: Readonly<Record<string, number>>;
  readonly reportSha256?: string;
  /** The job that made it: it registers one version, however often it is tried. */
  readonly jobId?: string;
  /** A label that moves to it when it is admitted. */
  readonly label?: string;
}

export type AdmissionDecision = { readonly kind: 'admitted' } | { readonly kind: 'rejected'; readonly reason: string };

/** Models with their versions and labels. A missing model or version throws NotFoundError. */
export interface Registry {
  /** Ordered by name. */
  models(): Promise<registry.Model[]>;
  model(name: string): Promise<registry.Model>;
  /** By number, or by label: its heaviest target. */
  version(model: string, versionOrLabel: string): Promise<registry.Version>;
  /** Makes the model when it is new, and publishes `registered`. */
  registerVersion(version: NewVersion): Promise<registry.Version>;
  /** Publishes the decision and moves the label that waits for it. A version that is decided stays as it is. */
  settleAdmission(model: string, version: string, decision: AdmissionDecision): Promise<registry.Version>;
  /** Adds figures to those it has; the same name replaces. */
  updateMetrics(model: string, version: string, metrics: Readonly<Record<string, number>>): Promise<registry.Version>;
  /** Throws ConflictError when a target is not admitted. */
  setLabel(model: string, label: registry.Label): Promise<registry.Model>;
  deleteLabel(model: string, label: string): Promise<void>;
  /** Throws ConflictError when a label points at it. */
  deleteVersion(model: string, version: string): Promise<void>;
  deleteModel(model: string): Promise<void>;
  /** Calls after every change, after reconnects and every 30 s: a hint to list again. */
  watch(onChange: () => void): AsyncDisposable;
}
