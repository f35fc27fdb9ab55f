import type { inference } from '@modelmill/contracts';
import { registry as contract } from '@modelmill/contracts';
import type { registry } from '@modelmill/contracts';
import { NotFoundError } from '@modelmill/store';
import type { Store } from '@modelmill/store';
import * as errors from './errors.js';
import { examplesAsInstances, writeClassifyAnswer, writeRegressAnswer } from './examples.js';
import { textOf } from './json-node.js';
import type { Oip } from './oip.js';
import { readPredictRequest, writePredictAnswer } from './predict.js';
import { json, jsonAnswer } from './rest-request.js';
import type { RestHandler, RestRoute } from './rest-request.js';
import { schemas } from './v2-schemas.js';

export interface V1Deps {
  readonly oip: Oip;
  readonly registry: Pick<Store['registry'], 'model'>;
  modelNames(): string[];
  /** Whether some replica answers for it. */
  serves(model: string, version: string): boolean;
  readonly maxJsonBytes: number;
}

const tag = 'inference v1';
const registryMs = 1_000;

/** The V1 protocols of KServe and of TensorFlow Serving: one set of paths, answers with the keys of both. */
export function v1Routes({ oip, registry: models, modelNames, serves, maxJsonBytes }: V1Deps): RestRoute[] {
  const predict: RestHandler = async ({ params, body, caller }) => {
    const { model = '', version = params['label'] ?? '' } = params;
    const metadata = await oip.modelMetadata({ name: model, version }, caller);
    const bytes = await body(maxJsonBytes);
    const { message, form } = readPredictRequest(metadata, version, textOf(bytes), bytes);
    return jsonAnswer(writePredictAnswer(await oip.modelInfer(message, caller), form));
  };

  /** Of examples, as TensorFlow Serving's classify and regress have them. */
  const ofExamples =
    (write: (answer: inference.ModelInferResponse) => string): RestHandler =>
    async ({ params, body, caller }) => {
      const { model = '', version = params['label'] ?? '' } = params;
      const metadata = await oip.modelMetadata({ name: model, version }, caller);
      const instances = examplesAsInstances(textOf(await body(maxJsonBytes)));
      return jsonAnswer(write(await oip.modelInfer(readPredictRequest(metadata, version, instances).message, caller)));
    };

  const status: RestHandler = async ({ params }) => {
    const { model: name = '', version = params['label'] ?? '' } = params;
    const ready = serves(name, version);
    const registered = versionsOf(name, version).catch((error: unknown) => {
      if (error instanceof NotFoundError) throw errors.unknownModel(name);
      throw error;
    });
    // the replicas answer while the registry is away
    const versions = ready ? await Promise.race([registered.catch(() => []), after(registryMs)]) : await registered;
    const answer = { name, ready, model_version_status: versions.map((found) => statusOf(name, found)) };
    if (!ready) return { ...jsonAnswer({ ...answer, error: `Model with name ${name} is not ready.` }), status: 503 };
    return jsonAnswer(answer);
  };

  async function versionsOf(name: string, version: string): Promise<registry.Version[]> {
    const { versions, labels } = await models.model(name);
    if (version === '') return versions;
    const targets = labels.find((label) => label.name === version)?.targets.map((target) => target.version) ?? [
      version,
    ];
    const found = versions.filter((candidate) => targets.includes(candidate.version));
    if (found.length === 0) throw errors.noSuchVersion(name, version);
    return found;
  }

  const statusOf = (name: string, { version, state, rejectionReason }: registry.Version) => ({
    version,
    state: serves(name, version)
      ? 'AVAILABLE'
      : state === contract.VersionState.VERSION_STATE_REJECTED
        ? 'END'
        : 'START',
    status: { error_code: rejectionReason === '' ? 'OK' : 'INVALID_ARGUMENT', error_message: rejectionReason },
  });

  const metadata: RestHandler = async ({ params, caller }) => {
    const { model: name = '', version = params['label'] ?? '' } = params;
    const { versions, inputs, outputs } = await oip.modelMetadata({ name, version }, caller);
    const signature = { inputs: signatureOf(inputs), outputs: signatureOf(outputs), method_name: 'predict' };
    return jsonAnswer({
      model_spec: { name, signature_name: '', version: version || (versions.at(-1) ?? '') },
      metadata: { signature_def: { signature_def: { serving_default: signature } } },
    });
  };

  const ofModel = (suffix: string, route: Omit<RestRoute, 'path'>): RestRoute[] =>
    ['', '/versions/{version}', '/labels/{label}'].map((which) => ({
      ...route,
      path: `/v1/models/{model}${which}${suffix}`,
    }));

  return [
    {
      verb: 'GET',
      path: '/v1/models',
      handle: async () => jsonAnswer({ models: modelNames() }),
      doc: { tag, summary: 'The models that are served', answer: json(schemas.models) },
    },
    ...ofModel(':predict', {
      verb: 'POST',
      handle: predict,
      doc: {
        tag,
        summary: 'Runs rows or columns of values through a model',
        request: json(schemas.predictRequest),
        answer: json(schemas.predictAnswer),
      },
    }),
    ...ofModel(':classify', {
      verb: 'POST',
      handle: ofExamples(writeClassifyAnswer),
      doc: { tag, summary: 'Labels and scores of examples', request: json(schemas.any), answer: json(schemas.any) },
    }),
    ...ofModel(':regress', {
      verb: 'POST',
      handle: ofExamples(writeRegressAnswer),
      doc: { tag, summary: 'One number for each example', request: json(schemas.any), answer: json(schemas.any) },
    }),
    ...ofModel('/metadata', {
      verb: 'GET',
      handle: metadata,
      doc: { tag, summary: 'The signature of a model, as TensorFlow Serving writes it', answer: json(schemas.any) },
    }),
    ...ofModel('', {
      verb: 'GET',
      handle: status,
      doc: { tag, summary: 'Whether a model answers, and the state of its versions', answer: json(schemas.any) },
    }),
  ];
}

const after = (ms: number) => new Promise<[]>((resolve) => setTimeout(() => resolve([]), ms));

const dtypes: Readonly<Record<string, string>> = {
  BOOL: 'DT_BOOL',
  INT8: 'DT_INT8',
  INT16: 'DT_INT16',
  INT32: 'DT_INT32',
  INT64: 'DT_INT64',
  UINT8: 'DT_UINT8',
  UINT16: 'DT_UINT16',
  UINT32: 'DT_UINT32',
  UINT64: 'DT_UINT64',
  FP16: 'DT_HALF',
  BF16: 'DT_BFLOAT16',
  FP32: 'DT_FLOAT',
  FP64: 'DT_DOUBLE',
  BYTES: 'DT_STRING',
};

const signatureOf = (tensors: readonly inference.ModelMetadataResponse_TensorMetadata[]) =>
  Object.fromEntries(
    tensors.map(({ name, datatype, shape }) => [
      name,
      {
        dtype: dtypes[datatype] ?? 'DT_INVALID',
        tensor_shape: { dim: shape.map((size) => ({ size: String(size), name: '' })), unknown_rank: false },
        name,
      },
    ]),
  );
