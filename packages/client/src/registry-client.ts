import { registry } from '@modelmill/contracts';
import type { CallOptions, Channel } from './channel.js';
import { present } from './present.js';
import { openUpload, verified } from './upload.js';
import type { Content } from './upload.js';

const { ModelRegistryService: methods } = registry;
const transferDeadlineMs = 600_000;

export interface VersionUpload {
  readonly model: string;
  readonly content: Content;
  /** Lower-case hex. Bytes given whole are digested here; a stream's digest is checked against what the server stored. */
  readonly sha256?: string | undefined;
  /** Bytes of the ONNX file at the beginning of the content, where the files it keeps weights in follow. */
  readonly onnxBytes?: number;
  /** Those files as the ONNX file calls them, in their order. */
  readonly externalData?: readonly { readonly location: string; readonly bytes: number }[];
}

/** A label to set; `rollBack`: when it leaves one of two targets by itself; `shadow`: what runs its requests for comparison. */
export interface LabelSetting {
  readonly name: string;
  readonly targets: readonly registry.LabelTarget[];
  readonly rollBack?: Partial<Omit<registry.RollBackRule, 'setAt'>> | undefined;
  readonly shadow?: Partial<Omit<registry.Shadow, 'setAt'>> | undefined;
}

/** Models, versions and labels. `version` takes a number or a label's name. */
export function createRegistryClient(channel: Channel) {
  async function* transferred(request: registry.DownloadVersionRequest, sha256: string, options?: CallOptions) {
    const stream = channel.serverStream(methods.downloadVersion, request, {
      deadlineMs: transferDeadlineMs,
      ...options,
    });
    async function* chunks() {
      for await (const { chunk } of stream) yield chunk;
    }
    yield* verified(chunks(), sha256);
  }

  return {
    async listModels(options?: CallOptions): Promise<registry.Model[]> {
      return (await channel.unary(methods.listModels, {}, { ...options, safe: true })).models;
    },
    async getModel(model: string, options?: CallOptions): Promise<registry.Model> {
      return present((await channel.unary(methods.getModel, { model }, { ...options, safe: true })).model, 'model');
    },
    async getVersion(model: string, version: string, options?: CallOptions): Promise<registry.Version> {
      const answer = await channel.unary(methods.getVersion, { model, version }, { ...options, safe: true });
      return present(answer.version, 'version');
    },
    getReport(model: string, version: string, options?: CallOptions): Promise<registry.GetReportResponse> {
      return channel.unary(methods.getReport, { model, version }, { ...options, safe: true });
    },
    /** Registers an ONNX file as the model's next version. */
    async uploadVersion(wanted: VersionUpload, options?: CallOptions): Promise<registry.Version> {
      const { model, content, sha256, onnxBytes = 0, externalData = [] } = wanted;
      const upload = openUpload(content, sha256);
      async function* requests(): AsyncGenerator<registry.UploadVersionRequest> {
        const header = {
          model,
          sha256: upload.stated,
          onnxBytes: BigInt(onnxBytes),
          externalData: externalData.map(({ location, bytes }) => ({ location, sizeBytes: BigInt(bytes) })),
        };
        yield { content: { $case: 'header', header } };
        for await (const chunk of upload.chunks()) yield { content: { $case: 'chunk', chunk } };
      }
      const answer = await channel.clientStream(methods.uploadVersion, requests(), options);
      const version = present(answer.version, 'version');
      // of several files the server makes files of its own
      if (externalData.length === 0) upload.verify(version.artifactSha256);
      return version;
    },
    /** The ONNX file in chunks; throws DATA_LOSS at the end when its digest is not the version's. */
    async *downloadVersion(
      model: string,
      version: string,
      options?: CallOptions,
    ): AsyncGenerator<Uint8Array, void, undefined> {
      const { version: number, artifactSha256 } = await this.getVersion(model, version, options);
      yield* transferred({ model, version: number, externalData: false }, artifactSha256, options);
    },
    /** The external data of a version that has some, as `downloadVersion`: a file that its ONNX file names by its digest. */
    async *downloadExternalData(
      { model, version, externalData }: registry.Version,
      options?: CallOptions,
    ): AsyncGenerator<Uint8Array, void, undefined> {
      yield* transferred({ model, version, externalData: true }, present(externalData, 'externalData').sha256, options);
    },
    async setLabel(model: string, label: LabelSetting, options?: CallOptions): Promise<registry.Model> {
      const request = registry.SetLabelRequest.fromPartial({ model, label: { ...label, targets: [...label.targets] } });
      return present((await channel.unary(methods.setLabel, request, { ...options, safe: true })).model, 'model');
    },
    /** Points a label at the best version by a rule, and tells how every version fared. */
    promoteVersion(
      model: string,
      label: string,
      rule: registry.PromotionRule,
      options?: CallOptions,
    ): Promise<registry.PromoteVersionResponse> {
      return channel.unary(methods.promoteVersion, { model, label, rule }, { ...options, safe: true });
    },
    async deleteLabel(model: string, label: string, options?: CallOptions): Promise<void> {
      await channel.unary(methods.deleteLabel, { model, label }, options);
    },
    async deleteVersion(model: string, version: string, options?: CallOptions): Promise<void> {
      await channel.unary(methods.deleteVersion, { model, version }, options);
    },
    async deleteModel(model: string, options?: CallOptions): Promise<void> {
      await channel.unary(methods.deleteModel, { model }, options);
    },
  };
}

export type RegistryClient = ReturnType<typeof createRegistryClient>;
