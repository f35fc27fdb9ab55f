export { openStore } from './open-store.js';
export type { Store, StoreOptions } from './open-store.js';
export type { StoreStatus } from './connection.js';
export type { AdmissionDecision, NewVersion, Registry } from './registry.js';
export type { NewLabel } from './labels.js';
export { versionsOf } from './labels.js';
export type { RollBackDecision } from './roll-back.js';
export type { DatasetStore, NewDatasetVersion } from './datasets.js';
export type { Jobs } from './jobs.js';
export { hasEnded } from './job-record.js';
export type { JobKind } from './job-kind.js';
export type { JobRecord, JobResult } from './job-record.js';
export type { JobUpdate } from './job-changes.js';
export type { ClaimEnd, JobClaim } from './job-claim.js';
export type { WorkOptions } from './job-worker.js';
export type { ContextHeaders, Events, EventStart, NewEvent, Subscription } from './event.js';
export type { Announcement, Replica, ReplicaModel, Replicas } from './replicas.js';
export { openFileArtifacts } from './artifacts.js';
export type { ArtifactRef, Artifacts, ModelRef } from './artifacts.js';
export { openFileBytes, openModelFiles } from './model-files.js';
export type { FileBytes, ModelFiles } from './model-files.js';
export { isJobId, isName, isVersionNumber } from './names.js';
export {
  AlreadyExistsError,
  ConflictError,
  DigestMismatchError,
  InvalidLabelError,
  InvalidNameError,
  JobFailedError,
  JobLostError,
  NotFoundError,
  StoreFullError,
  StoreUnavailableError,
} from './errors.js';
