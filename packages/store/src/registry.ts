import { randomUUID } from 'node:crypto';
import { registry } from '@modelmill/contracts';
import type { ModelRef } from './artifacts.js';
import { ConflictError, NotFoundError } from './errors.js';
import type { Events } from './event.js';
import { completeLabel, versionsOf, withLabel, withoutLabel } from './labels.js';
import type { NewLabel } from './labels.js';
import { newModel, versionKey } from './model-records.js';
import type { ModelRecord, RegistryRecord, VersionRecord } from './model-records.js';
import { checkJobId, checkName, isName, isVersionNumber } from './names.js';
import { changeAndTell, withEvent } from './outbox.js';
import type { Entry, RecordTable } from './record-table.js';
import { withRolledBack } from './roll-back.js';
import type { RollBackDecision } from './roll-back.js';
import { checkTakesSame } from './shadow.js';

/** A version to register. */
export interface NewVersion {
  readonly model: string;
  readonly artifact: ModelRef;
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
  /** When each model's labels or versions last changed, by the server's clock. */
  changedAt(): Promise<ReadonlyMap<string, Date>>;
  model(name: string): Promise<registry.Model>;
  /** By number, or by label: its heaviest target. */
  version(model: string, versionOrLabel: string): Promise<registry.Version>;
  /** Makes the model when it is new, and publishes `registered`. Throws InvalidNameError. */
  registerVersion(version: NewVersion): Promise<registry.Version>;
  /** Publishes the decision and moves the label that waits for it. A version that is decided stays as it is. */
  settleAdmission(model: string, version: string, decision: AdmissionDecision): Promise<registry.Version>;
  /** Adds figures to those it has; the same name replaces. */
  updateMetrics(model: string, version: string, metrics: Readonly<Record<string, number>>): Promise<registry.Version>;
  /**
   * Throws ConflictError when a target or the shadow is not admitted, InvalidLabelError when it has no target or a weight of
   * 0, or its shadow does not take what its targets take.
   */
  setLabel(model: string, label: NewLabel): Promise<registry.Model>;
  /**
   * Gives a label back to the target that is not on trial, and publishes `rolled-back`, where the rule is still the label's.
   * Tells whether this call did it.
   */
  rollBack(decision: RollBackDecision): Promise<boolean>;
  deleteLabel(model: string, label: string): Promise<void>;
  /** Throws ConflictError when a label points at it or has it as its shadow. */
  deleteVersion(model: string, version: string): Promise<void>;
  deleteModel(model: string): Promise<void>;
  /** Calls after every change, after reconnects and every 30 s: a hint to list again. */
  watch(onChange: () => void): AsyncDisposable;
}

export interface LabelSweep {
  /** Moves labels whose mover died between a version's admission and the move. */
  moveWaitingLabels(): Promise<void>;
}

const { VERSION_STATE_ADMITTED, VERSION_STATE_REGISTERED, VERSION_STATE_REJECTED } = registry.VersionState;

export function createRegistry(
  table: RecordTable<RegistryRecord>,
  events: Events,
  replica: string,
): Registry & LabelSweep {
  const change = (key: string, by: (now: RegistryRecord | undefined) => RegistryRecord | undefined) =>
    changeAndTell(table, events, key, by);

  /** Changes a model that exists; throws NotFoundError. */
  async function changeModel(name: string, by: (now: ModelRecord) => ModelRecord | undefined): Promise<ModelRecord> {
    if (!isName(name)) throw modelNotFound(name);
    const entry = await change(name, (now) => {
      if (now?.kind !== 'model' || now.deleted) throw modelNotFound(name);
      return by(now);
    });
    return entry!.record as ModelRecord;
  }

  /** Changes a version that exists; throws NotFoundError. */
  async function changeVersion(
    model: string,
    number: string,
    by: (now: VersionRecord) => VersionRecord | undefined,
  ): Promise<VersionRecord> {
    if (!isName(model) || !isVersionNumber(number)) throw versionNotFound(model, number);
    const entry = await change(versionKey(model, number), (now) => {
      if (now?.kind !== 'version') throw versionNotFound(model, number);
      return by(now);
    });
    return entry!.record as VersionRecord;
  }

  async function model(name: string): Promise<registry.Model> {
    if (!isName(name)) throw modelNotFound(name);
    const own = await table.get(name);
    if (own?.record.kind !== 'model' || own.record.deleted) throw modelNotFound(name);
    return assembled([own, ...(await table.list(`${name}.*`))])[0]!;
  }

  async function version(modelName: string, versionOrLabel: string): Promise<registry.Version> {
    if (!isName(modelName)) throw modelNotFound(modelName);
    const own = await table.get(modelName);
    if (own?.record.kind !== 'model' || own.record.deleted) throw modelNotFound(modelName);
    const number = isVersionNumber(versionOrLabel) ? versionOrLabel : targetOf(own.record, versionOrLabel);
    const found = number === undefined ? undefined : await table.get(versionKey(modelName, number));
    if (found?.record.kind !== 'version') throw versionNotFound(modelName, versionOrLabel);
    return found.record.version;
  }

  async function admitted(name: string, number: string): Promise<registry.Version> {
    if (!isVersionNumber(number)) throw versionNotFound(name, number);
    const found = await version(name, number);
    if (found.state === VERSION_STATE_ADMITTED) return found;
    throw new ConflictError(`version '${number}' of model '${name}' is not admitted`);
  }

  async function setLabel(name: string, wanted: NewLabel): Promise<registry.Model> {
    checkName('label', wanted.name);
    const label = completeLabel(wanted, new Date());
    const targets: registry.Version[] = [];
    for (const target of label.targets) targets.push(await admitted(name, target.version));
    if (label.shadow !== undefined) {
      const shadow = await admitted(name, label.shadow.version);
      for (const target of targets) checkTakesSame(label.name, target, shadow);
    }
    await changeModel(name, (now) => withLabel(name, now, label));
    return model(name);
  }

  /** Moves the label that waits for a version's admission, and forgets it. */
  async function moveWaitingLabel({ version: { model: name, version: number }, label }: VersionRecord): Promise<void> {
    await setLabel(name, { name: label, targets: [{ version: number, weight: 1 }] });
    await changeVersion(name, number, (now) => (now.label === label ? { ...now, label: '' } : undefined));
  }

  return {
    model,
    version,
    setLabel,
    async models() {
      return assembled(await table.list());
    },
    async changedAt() {
      return new Map((await table.list('*')).map(({ key, writtenAt }) => [key, writtenAt]));
    },

    async registerVersion(wanted) {
      const { model: name, jobId, label = '' } = wanted;
      checkName('model', name);
      if (jobId !== undefined) checkJobId(jobId);
      if (label !== '') checkName('label', label);
      const registration = jobId ?? `upload-${randomUUID()}`;
      const entry = await change(name, (now) => {
        const known = now?.kind === 'model' ? now : newModel;
        if (known.numbers[registration] !== undefined) return undefined;
        const numbers = { ...known.numbers, [registration]: known.nextVersion };
        return { ...known, deleted: false, numbers, nextVersion: known.nextVersion + 1 };
      });
      const record = entry!.record as ModelRecord;
      const number = record.numbers[registration]!;
      if (record.deleted || record.deletedVersions.includes(number)) {
        throw new ConflictError(`job '${registration}' made version ${number} of model '${name}', which was deleted`);
      }
      const made = await change(versionKey(name, number), (now) =>
        now === undefined ? newRecord(wanted, number) : undefined,
      );
      return (made!.record as VersionRecord).version;
    },

    async settleAdmission(name, number, decision) {
      const settled = await changeVersion(name, number, (now) =>
        now.version.state === VERSION_STATE_REGISTERED ? decided(now, decision) : undefined,
      );
      if (waits(settled)) await moveWaitingLabel(settled).catch(() => {}); // the sweep comes back to it
      return settled.version;
    },

    async updateMetrics(name, number, metrics) {
      const { version: updated } = await changeVersion(name, number, (now) => ({
        ...now,
        version: { ...now.version, metrics: { ...now.version.metrics, ...metrics } },
      }));
      return updated;
    },

    async rollBack(decision) {
      const by = { replica, time: new Date() };
      let wanted: ModelRecord | undefined;
      const record = await changeModel(decision.model, (now) => (wanted = withRolledBack(now, decision, by)));
      return record === wanted;
    },

    async deleteLabel(name, label) {
      await changeModel(name, (now) => withoutLabel(name, now, label));
    },

    async deleteVersion(name, number) {
      await version(name, isVersionNumber(number) ? number : '').catch((error: unknown) => {
        throw error instanceof NotFoundError ? versionNotFound(name, number) : error;
      });
      await changeModel(name, (now) => {
        const label = now.labels.find((known) => versionsOf(known).includes(number));
        if (label) {
          const keeps = label.shadow?.version === number ? 'has as its shadow' : 'points at';
          throw new ConflictError(`label '${label.name}' ${keeps} version '${number}' of model '${name}'`);
        }
        if (now.deletedVersions.includes(Number(number))) return undefined;
        return { ...now, deletedVersions: [...now.deletedVersions, Number(number)] };
      });
      await table.remove(versionKey(name, number));
    },

    async deleteModel(name) {
      await changeModel(name, (now) => ({ ...now, deleted: true, labels: [] }));
      for (const { key } of await table.list(`${name}.*`)) await table.remove(key);
    },

    async moveWaitingLabels() {
      for (const { record } of await table.list('*.*')) {
        if (record.kind === 'version' && waits(record)) await moveWaitingLabel(record).catch(ignoreDeleted);
      }
    },

    watch(onChange) {
      const listening = table.hints.listen(() => onChange());
      return { [Symbol.asyncDispose]: async () => listening[Symbol.dispose]() };
    },
  };
}

const waits = ({ version, label }: VersionRecord) => label !== '' && version.state === VERSION_STATE_ADMITTED;

function ignoreDeleted(error: unknown): void {
  if (!(error instanceof NotFoundError || error instanceof ConflictError)) throw error;
}

/** Models with their versions, from records in any order. */
function assembled(entries: readonly Entry<RegistryRecord>[]): registry.Model[] {
  const models: registry.Model[] = [];
  for (const { key, record } of entries) {
    if (record.kind === 'model' && !record.deleted)
      models.push({ name: key, labels: [...record.labels], versions: [] });
  }
  const byName = new Map(models.map((model) => [model.name, model]));
  for (const { record } of entries) {
    if (record.kind === 'version') byName.get(record.version.model)?.versions.push(record.version);
  }
  for (const { labels, versions } of models) {
    labels.sort((a, b) => order(a.name, b.name));
    versions.sort((a, b) => Number(a.version) - Number(b.version));
  }
  return models.sort((a, b) => order(a.name, b.name));
}

const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function targetOf({ labels }: ModelRecord, label: string): string | undefined {
  const targets = labels.find(({ name }) => name === label)?.targets ?? [];
  return targets.reduce<registry.LabelTarget | undefined>(
    (heaviest, target) => (heaviest === undefined || target.weight > heaviest.weight ? target : heaviest),
    undefined,
  )?.version;
}

function newRecord(wanted: NewVersion, number: number): VersionRecord {
  const {
    model,
    artifact,

    signature,
    lineage,
    metrics,
    reportSha256 = '',
    jobId = '',
    label = '',
  } = wanted;
  const version: registry.Version = {
    model,
    version: String(number),
    state: VERSION_STATE_REGISTERED,
    rejectionReason: '',
    artifactSha256: artifact.sha256,
    sizeBytes: BigInt(artifact.size + (artifact.data?.size ?? 0)),
    signature,
    lineage: { ...lineage, jobId: lineage.jobId === '' ? jobId : lineage.jobId },
    metrics: { ...metrics },
    createdAt: new Date(),
    reportSha256,
    externalData: artifact.data && { sha256: artifact.data.sha256, sizeBytes: BigInt(artifact.data.size) },
  };
  const record: VersionRecord = { kind: 'version', version, label, outbox: [] };
  const { method, parentVersion } = lineage;
  const data = { model, version: version.version, method, parentVersion, jobId, sha256: artifact.sha256 };
  return withEvent(record, told(version, 'registered', data));
}

function decided(record: VersionRecord, decision: AdmissionDecision): VersionRecord {
  const { model, version: number } = record.version;
  const reason = decision.kind === 'rejected' ? decision.reason : '';
  const state = decision.kind === 'admitted' ? VERSION_STATE_ADMITTED : VERSION_STATE_REJECTED;
  const version = { ...record.version, state, rejectionReason: reason };
  const data = { model, version: number, ...(reason === '' ? {} : { reason }) };
  return withEvent({ ...record, version }, told(version, decision.kind, data));
}

function told({ model, version }: registry.Version, what: string, data: object) {
  const subject = `model.${model}.${version}.${what}`;
  return { subject, data, msgId: subject }; // a number is given once, so these happen once
}

const modelNotFound = (name: string) => new NotFoundError(`model '${name.slice(0, 80)}' is not registered`);
const versionNotFound = (model: string, version: string) =>
  new NotFoundError(`model '${model.slice(0, 80)}' has no version or label '${version.slice(0, 80)}'`);
