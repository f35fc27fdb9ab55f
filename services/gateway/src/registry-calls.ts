import { registry as contract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import type { Signature } from '@modelmill/onnx';
import type { Store } from '@modelmill/store';
import * as errors from './errors.js';
import type { AskedModel, ReadModel } from './model-worker.js';
import { choose, isAdmitted, stateName } from './promotion.js';
import { partsOf } from './upload-parts.js';
import { checkName, openUpload, storeUpload } from './uploads.js';
import type { UploadLimits } from './uploads.js';
import { callWorker } from './worker-call.js';

export interface RegistryDeps {
  readonly store: Pick<Store, 'registry' | 'artifacts'>;
  readonly limits: UploadLimits;
  readonly artifactsDir: string;
  /** A model of more is stored as two files. */
  readonly mostFileBytes: number;
}

const modelWorker = new URL('../dist/model-worker.js', import.meta.url);
const readingLimits = { timeoutMs: 20_000, heapMb: 2048 };
/** Bytes that are read, digested and written in a millisecond, at the least. */
const writtenPerMs = 10_000;

/** ModelRegistry, on the store. */
export function registryCalls({ store, limits, artifactsDir, mostFileBytes }: RegistryDeps) {
  const { registry: models, artifacts } = store;

  async function upload(messages: AsyncIterable<registry.UploadVersionRequest>) {
    const { header, chunks } = await openUpload(messages, limits);
    return uploadChunks(header, chunks);
  }

  async function uploadChunks(header: registry.UploadVersionHeader, chunks: AsyncIterable<Uint8Array>) {
    const { model, sha256, onnxBytes, externalData } = header;
    checkName('model', model);
    const version = await storeUpload(artifacts, chunks, sha256, limits, async (stored, isNew) => {
      const parts = partsOf(Number(onnxBytes), externalData, stored.size);
      const asked: AskedModel = { path: await artifacts.path(stored.sha256), ...parts, artifactsDir, mostFileBytes };
      const timeoutMs = readingLimits.timeoutMs + (parts.data.length > 0 ? stored.size / writtenPerMs : 0);
      const { signature, artifact = stored } = await callWorker<ReadModel>(
        modelWorker,
        asked,
        { ...readingLimits, timeoutMs },
        errors.notAdmissible,
      );
      if (isNew && artifact.sha256 !== stored.sha256) await artifacts.remove(stored.sha256); // it was written anew
      const lineage = contract.Lineage.fromPartial({ method: 'uploaded' });
      return models.registerVersion({ model, artifact, signature: asMessage(signature), lineage, metrics: {} });
    });
    return { version };
  }

  async function* download({ model, version, externalData }: registry.DownloadVersionRequest) {
    const { version: number, artifactSha256, externalData: data } = await models.version(model, version);
    if (externalData && !data) throw errors.noExternalData(model, number);
    const wanted = externalData && data ? data.sha256 : artifactSha256;
    for await (const chunk of artifacts.stream(wanted)) yield { chunk: Buffer.from(chunk) };
  }

  async function report({ model, version }: registry.GetReportRequest): Promise<registry.GetReportResponse> {
    const { version: number, reportSha256 } = await models.version(model, version);
    if (reportSha256 === '') throw errors.noReport(model, number);
    const text = Buffer.from(await artifacts.read(reportSha256)).toString();
    const stored = JSON.parse(text) as { report?: unknown; markdown?: unknown };
    if (typeof stored.markdown !== 'string') return { json: text, markdown: '' };
    return { json: JSON.stringify(stored.report), markdown: stored.markdown };
  }

  async function setLabel({ model, label }: registry.SetLabelRequest) {
    if (!label) throw errors.labelMissing();
    checkName('model', model);
    checkName('label', label.name);
    if (label.targets.length === 0) throw errors.noTargets(label.name);
    const { versions } = await models.model(model);
    const seen = new Set<string>();
    for (const { version: number, weight } of label.targets) {
      const version = versions.find(({ version }) => version === number);
      if (!version) throw errors.noSuchVersion(model, number);
      if (!isAdmitted(version)) throw errors.notAdmitted(model, number, stateName(version.state));
      if (seen.has(number)) throw errors.targetTwice(label.name, number);
      if (weight === 0) throw errors.badWeight(number);
      seen.add(number);
    }
    return { model: await models.setLabel(model, label) };
  }

  async function promote({ model, label, rule }: registry.PromoteVersionRequest) {
    if (!rule) throw errors.ruleMissing();
    checkName('label', label);
    const chosen = choose(await models.model(model), rule);
    await models.setLabel(model, { name: label, targets: [{ version: chosen.version, weight: 1 }] });
    return chosen;
  }

  return {
    listModels: async (_: registry.ListModelsRequest) => ({ models: await models.models() }),
    getModel: async ({ model }: registry.GetModelRequest) => ({ model: await models.model(model) }),
    getVersion: async ({ model, version }: registry.GetVersionRequest) => ({
      version: await models.version(model, version),
    }),
    getReport: report,
    uploadVersion: upload,
    uploadChunks,
    downloadVersion: download,
    setLabel,
    promoteVersion: promote,
    deleteLabel: async ({ model, label }: registry.DeleteLabelRequest) => {
      await models.deleteLabel(model, label);
      return {};
    },
    deleteVersion: async ({ model, version }: registry.DeleteVersionRequest) => {
      await models.deleteVersion(model, version);
      return {};
    },
    deleteModel: async ({ model }: registry.DeleteModelRequest) => {
      await models.deleteModel(model);
      return {};
    },
  };
}

export type RegistryCalls = ReturnType<typeof registryCalls>;

function asMessage({ inputs, outputs }: Signature): registry.Signature {
  const tensors = (of: Signature['inputs']) =>
    of.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(BigInt) }));
  return { inputs: tensors(inputs), outputs: tensors(outputs) };
}
